"""Lists of rooms that are read at the same time, or for a connection that is gone: the newest one counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from polychat.internal.log.v1.log_read_service_pb2 import UserRoom

from services.chat.attached import Connection
from services.chat.peers import UserRoomList
from tests.support.chat_place import Place

ANN = 1
ROOM = 70


@pytest.fixture
async def place() -> Place:
    """Ann has a connection that was told that she is in no room."""
    made = Place()
    made.write(ROOM, 3)
    made.connect(ANN, {})
    return made


def while_reading(place: Place, happens: Callable[[], object]) -> None:
    """The next list is old when it comes."""
    read = place.log.all_rooms

    async def slow(user_ids: Sequence[int]) -> dict[int, UserRoomList]:
        place.log.all_rooms = read  # type: ignore[method-assign]
        lists = await read(user_ids)
        happens()
        return lists

    place.log.all_rooms = slow  # type: ignore[method-assign]


async def test_an_older_list_undoes_no_newer_one(place: Place) -> None:
    """Ann came, and no hint of it did: another list shows it."""

    def another() -> None:
        place.write(ROOM, 4, joined=ANN)
        place.hub.place(ANN, {ROOM: 4})

    while_reading(place, another)
    lists = await place.placement.rooms_of([ANN])
    assert lists[ANN].rooms.heads == {ROOM: 4}
    assert place.hub.rooms_of(ANN) == {ROOM}
    assert not place.placement.stale(ANN, lists[ANN])


async def test_nor_does_it_undo_one_that_told_nothing_new(place: Place) -> None:
    """Ann left and came back while the older one was read; no hint of it came."""
    place.connect(ANN, {ROOM: 3})

    def another() -> None:
        place.write(ROOM, 4, joined=ANN)
        place.hub.place(ANN, {ROOM: 4})

    while_reading(place, another)
    await place.placement.read_again([ANN])
    assert place.hub.doubtful == {ANN}
    assert place.hub.rooms_of(ANN) == {ROOM}


async def test_a_list_that_says_the_same_as_another_is_gone_by(place: Place) -> None:
    """Connections of one user that open together do not read for ever."""
    while_reading(place, lambda: place.hub.place(ANN, {}))
    await place.placement.read_again([ANN])
    assert place.hub.doubtful == set()


@pytest.mark.parametrize("gone", [False, True])
async def test_a_list_that_waited_while_another_told_of_more_is_stale(place: Place, *, gone: bool) -> None:
    """It is told to a connection that opens, which the other was not told to."""
    place.open(ANN)
    placed = (await place.placement.rooms_of([ANN]))[ANN]
    assert not place.placement.stale(ANN, placed)
    place.write(ROOM, 4, joined=ANN)
    if gone:
        place.write(ROOM, 5, left=ANN)
    await place.placement.read_again([ANN])
    assert place.told() == []
    assert place.placement.stale(ANN, placed)


async def test_a_connection_is_opened_with_no_list_from_before_it(place: Place) -> None:
    """The edge watches comings and goings only from the hello on (I5)."""
    place.write(ROOM, 4, joined=ANN)
    while_reading(place, lambda: place.hub.open(place.edge, Connection(5, ANN, 105, 0.0)))
    await place.placement.read_again([ANN])
    assert place.told() == [(ANN, [(ROOM, 4, 4)])]


async def test_a_list_from_before_a_user_came_anew_is_not_gone_by(place: Place) -> None:
    """They had no connection meanwhile, so nothing was heard of them."""

    def anew() -> None:
        place.hub.close(place.edge, ANN)
        place.write(ROOM, 4, joined=ANN)
        place.open(ANN)

    while_reading(place, anew)
    await place.placement.read_again([ANN])
    assert place.hub.doubtful == {ANN}


def truncated(place: Place, *rooms: int) -> None:
    """Ann is in so many rooms that each list says other ones."""

    async def read(user_ids: Sequence[int]) -> dict[int, UserRoomList]:
        listed = [UserRoom(room_id=room_id, head_sequence=1) for room_id in rooms]
        return {user_id: UserRoomList.combined(listed, (), truncated=True) for user_id in user_ids}

    place.log.all_rooms = read  # type: ignore[method-assign]


async def test_a_truncated_list_says_nothing_of_what_it_lacks(place: Place) -> None:
    truncated(place, 1, 2)
    await place.placement.rooms_of([ANN])
    truncated(place, 2, 3)
    await place.placement.read_again([ANN])
    assert place.hub.rooms_of(ANN) == {1, 2, 3}


async def test_truncated_lists_do_not_refuse_one_another(place: Place) -> None:
    """Connections of one user that open at several edges at once."""
    place.connect(ANN, {1: 1, 2: 1, 3: 1})
    truncated(place, 2, 3)
    while_reading(place, lambda: place.hub.place(ANN, {1: 1, 2: 1}, whole=False))
    await place.placement.read_again([ANN])
    assert place.hub.doubtful == set()


async def test_a_question_of_an_only_connection_keeps_what_a_truncated_list_lacks(place: Place) -> None:
    place.connect(ANN, {1: 1, 2: 1, 3: 1})
    truncated(place, 2, 3)
    place.open(ANN)
    await place.placement.rooms_of([ANN])
    assert place.hub.rooms_of(ANN) == {1, 2, 3}
