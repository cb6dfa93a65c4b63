"""Memberships that began and ended while hints were lost: edges are told of them (I4)."""

from __future__ import annotations

import pytest

from services.chat.attached import Connection
from services.chat.link_output import LinkOutput
from tests.support.chat_place import Place

ANN, BOB = 1, 2
ROOM = 70
UNSEEN = (ROOM, 4, 6)


@pytest.fixture
async def place() -> Place:
    """Ann has a connection and is in no room."""
    made = Place()
    made.write(ROOM, 3, joined=BOB)
    made.connect(ANN, {})
    return made


def come_and_go(place: Place) -> None:
    """Ann does, and no hint of it comes."""
    place.write(ROOM, 4, joined=ANN)
    place.write(ROOM, 6, left=ANN)


async def test_when_lists_are_read_again_it_is_told_once(place: Place) -> None:
    come_and_go(place)
    await place.placement.read_again([ANN])
    await place.placement.read_again([ANN])
    assert place.ended() == [("edge-1", ANN, [UNSEEN])]


@pytest.mark.parametrize("served", [False, True])
async def test_a_leaving_that_is_heard_asks_for_the_list(place: Place, *, served: bool) -> None:
    """Whether somebody else here is in the room or not."""
    if served:
        place.connect(BOB, {ROOM: 5})
    place.write(ROOM, 4, joined=ANN)
    place.hub.pass_events([place.write(ROOM, 6, left=ANN)])
    assert place.hub.doubtful == {ANN}
    await place.repair.repair()
    assert place.ended() == [("edge-1", ANN, [UNSEEN])]


async def test_so_does_one_that_is_heard_late(place: Place) -> None:
    """What follows it in the room came by before."""
    place.connect(BOB, {ROOM: 5})
    place.write(ROOM, 4, joined=ANN)
    late = place.write(ROOM, 6, left=ANN)
    place.hub.pass_events([place.write(ROOM, 7)])
    assert place.hub.doubtful == set()
    place.hub.pass_events([late])
    assert place.hub.doubtful == {ANN}


async def test_a_leaving_that_came_by_asks_for_nothing(place: Place) -> None:
    """It comes twice, by the room's channel and by that of all memberships, and is in the list as well."""
    joined = place.write(ROOM, 4, joined=ANN)
    left = place.write(ROOM, 6, left=ANN)
    place.hub.pass_events([joined, left])
    place.hub.pass_events([left])
    assert place.hub.doubtful == set()
    await place.placement.read_again([ANN])
    assert place.ended() == []


async def test_what_ended_before_a_connection_is_told_with_its_rooms(place: Place) -> None:
    """The edge has to know what it does not have to show."""
    come_and_go(place)
    place.open(BOB)
    place.hub.open(place.edge, Connection(9, 9, 109, 0.0))
    place.write(ROOM, 7, joined=9)
    place.write(ROOM, 8, left=9)
    lists = await place.placement.rooms_of([9])
    assert [(e.room_id, e.joined_sequence, e.left_sequence) for e in lists[9].rooms.ended] == [(ROOM, 7, 8)]
    await place.placement.read_again([9])
    assert place.ended() == []


@pytest.mark.parametrize("left", [False, True])
async def test_a_list_for_one_edge_is_told_to_the_others_when_it_says_more(
    place: Place, *, left: bool
) -> None:
    """A second connection's list shows what was missed, and only its edge would hear of it."""
    place.write(ROOM, 4, joined=ANN)
    if left:
        place.write(ROOM, 6, left=ANN)
    other = place.hub.attach("edge-2", LinkOutput("chat-1"))
    place.hub.open(other, Connection(5, ANN, 105, 0.0))
    await place.placement.rooms_of([ANN])
    told = place.ended()
    assert ("edge-1", ANN, [UNSEEN] if left else []) in told
    await place.placement.rooms_of([ANN])
    assert place.ended() == told


async def test_a_coming_after_a_list_is_not_in_one_frame_with_it(place: Place) -> None:
    """The edge takes events first, and would show what the list tells after it, or not at all."""
    come_and_go(place)
    await place.placement.read_again([ANN])
    place.hub.pass_events([place.write(ROOM, 8, joined=ANN)])
    assert place.ended() == [("edge-1", ANN, [UNSEEN])]
    assert place.events() == [8]
    assert not place.output._frames[-1].message.opened
