"""Which rooms users are placed in: lists that are out of date when they come, and lists read again."""

from __future__ import annotations

import pytest

from chassis.errors import BackendUnavailable
from chassis.kafka import partition_of
from services.chat.repair import USERS_AT_ONCE
from tests.support.chat_place import Place
from tests.support.chat_world import running, settle

ANN, BOB = 1, 2
ROOM = 70


@pytest.fixture
async def place() -> Place:
    return Place()


async def test_a_list_that_is_overtaken_by_an_event_is_read_again(place: Place) -> None:
    """Else a user who left meanwhile would be placed in the room again."""
    place.write(ROOM, 3, joined=ANN)
    place.connect(ANN, {ROOM: 3})
    read = place.log.all_rooms

    async def overtaken(user_ids):  # type: ignore[no-untyped-def]
        lists = await read(user_ids)
        if place.events() == []:
            place.hub.pass_events([place.write(ROOM, 4, left=ANN)])
        return lists

    place.log.all_rooms = overtaken  # type: ignore[method-assign]
    lists = await place.placement.rooms_of([ANN])
    assert lists[ANN].rooms.heads == {}
    assert place.hub.rooms_of(ANN) == set()


async def test_a_list_older_than_what_the_room_began_with_is_read_again(place: Place) -> None:
    """Else the hub would say a head past the leave that nobody saw, and the edge never hear of it."""
    place.write(ROOM, 3, joined=ANN)
    place.write(ROOM, 4, joined=BOB)
    place.open(ANN)
    place.open(BOB)
    read = place.log.all_rooms

    async def slow(user_ids):  # type: ignore[no-untyped-def]
        place.log.all_rooms = read  # type: ignore[method-assign]
        lists = await read(user_ids)
        place.write(ROOM, 5, left=ANN)
        await place.placement.rooms_of([BOB])
        return lists

    place.log.all_rooms = slow  # type: ignore[method-assign]
    lists = await place.placement.rooms_of([ANN])
    assert lists[ANN].rooms.heads == {}
    assert place.hub.rooms_of(ANN) == set()
    assert place.hub.rooms_of(BOB) == {ROOM}


async def test_a_list_from_before_a_hole_is_read_again(place: Place) -> None:
    """A leave may be what the lost hint told."""
    place.write(ROOM, 3, joined=ANN)
    place.write(ROOM, 4, joined=BOB)
    place.connect(BOB, {ROOM: 4})
    place.open(ANN)
    read = place.log.all_rooms

    async def slow(user_ids):  # type: ignore[no-untyped-def]
        place.log.all_rooms = read  # type: ignore[method-assign]
        lists = await read(user_ids)
        place.write(ROOM, 5, left=ANN)
        place.hub.pass_events([place.write(ROOM, 6)])
        return lists

    place.log.all_rooms = slow  # type: ignore[method-assign]
    assert (await place.placement.rooms_of([ANN]))[ANN].rooms.heads == {}
    assert place.hub.rooms_of(ANN) == set()


async def test_a_log_that_was_set_back_is_followed(place: Place) -> None:
    """After a restore of the database nobody is kept out, and the room goes on from its new head."""
    place.write(ROOM, 3, joined=BOB)
    place.write(ROOM, 4, joined=ANN)
    place.connect(BOB, {ROOM: 9})
    place.open(ANN)
    assert (await place.placement.rooms_of([ANN]))[ANN].rooms.heads == {ROOM: 4}
    place.hub.pass_events([place.write(ROOM, 5)])
    assert place.events() == [5]


async def test_who_leaves_a_room_not_served_here_makes_their_list_old(place: Place) -> None:
    """The hint came while the list was read; there was no room to take them out of."""
    place.write(ROOM, 3, joined=ANN)
    place.open(ANN)
    read = place.log.all_rooms

    async def slow(user_ids):  # type: ignore[no-untyped-def]
        place.log.all_rooms = read  # type: ignore[method-assign]
        lists = await read(user_ids)
        place.hub.pass_events([place.write(ROOM, 4, left=ANN)])
        return lists

    place.log.all_rooms = slow  # type: ignore[method-assign]
    assert (await place.placement.rooms_of([ANN]))[ANN].rooms.heads == {}


async def test_everybodys_lists_are_read_at_most_every_five_seconds(place: Place) -> None:
    """A new owner asks five seconds in a row: the first and the last count, heads are compared each time."""
    place.write(ROOM, 4, joined=ANN)
    place.connect(ANN, {ROOM: 4})
    reads: list[float] = []
    read = place.log.all_rooms

    async def counted(user_ids):  # type: ignore[no-untyped-def]
        reads.append(place.time.now)
        return await read(user_ids)

    place.log.all_rooms = counted  # type: ignore[method-assign]
    began = place.time.now
    for _ in range(8):
        if place.time.now - began < 5:
            place.repair.request([partition_of(ROOM)])
        await place.repair.repair()
        place.time.now += 1
    assert [at - began for at in reads] == [0, 5]
    assert len(place.behind) == 5


async def test_a_doubtful_user_is_read_again_soon(place: Place) -> None:
    """And a round that fails is repeated when message is back."""
    place.write(ROOM, 5, joined=ANN)
    place.connect(ANN, {})
    place.hub.doubtful.add(ANN)
    place.log.away = True
    place.repair.request([])
    async with running(place.repair.run):
        await settle()
        assert place.hub.doubtful == {ANN}
        place.log.away = False
        while place.hub.rooms_of(ANN) != {ROOM}:
            await settle(1)
    assert place.told() == [(ANN, [(ROOM, 5, 5)])]
    assert place.hub.doubtful == set()


async def test_a_missed_join_of_a_room_that_others_here_are_in(place: Place) -> None:
    """For the edge the joining is an old event: it is told the list and, after it, what has overtaken it."""
    place.write(ROOM, 3, joined=BOB)
    place.write(ROOM, 6, joined=ANN)
    place.write(ROOM, 7)
    place.connect(BOB, {ROOM: 7})
    place.connect(ANN, {})
    read = place.log.all_rooms

    async def overtaken(user_ids):  # type: ignore[no-untyped-def]
        lists = await read(user_ids)
        place.hub.pass_events([place.write(ROOM, 8)])
        return lists

    place.log.all_rooms = overtaken  # type: ignore[method-assign]
    await place.placement.read_again([ANN])
    assert place.told() == [(ANN, [(ROOM, 7, 6)])]
    assert place.heads() == [(ROOM, 8)]
    assert place.hub.rooms_of(ANN) == {ROOM}


async def test_rooms_that_could_not_be_compared_are_compared_later(place: Place) -> None:
    """Until message answers; a room that nobody is in any more is not asked for."""
    place.write(ROOM, 4, joined=ANN)
    place.connect(ANN, {ROOM: 4})
    place.write(ROOM, 6)
    place.hub.uncompared |= {ROOM, 99}
    place.log.away = True
    with pytest.raises(BackendUnavailable):
        await place.repair.repair()
    place.log.away = False
    await place.repair.repair()
    assert place.heads() == [(ROOM, 6)]
    assert place.hub.uncompared == set()


async def test_lists_are_read_for_some_users_at_a_time(place: Place) -> None:
    """However many are connected; between two parts rooms are compared."""
    users = range(1, 2 * USERS_AT_ONCE + 2)
    for user_id in users:
        place.write(ROOM, user_id, joined=user_id)
        place.connect(user_id, {})
    parts: list[int] = []
    read = place.log.all_rooms

    async def counted(user_ids):  # type: ignore[no-untyped-def]
        parts.append(len(user_ids))
        return await read(user_ids)

    place.log.all_rooms = counted  # type: ignore[method-assign]
    place.repair.request([])
    async with running(place.repair.run):
        while place.hub.rooms_of(1) == set() or len(parts) < 3:
            await settle(1)
    assert sorted(parts) == [1, USERS_AT_ONCE, USERS_AT_ONCE]
    assert all(place.hub.rooms_of(user_id) == {ROOM} for user_id in users)
