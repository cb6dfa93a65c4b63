"""Reading all rooms of a user from message, page by page, while they move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from polychat.internal.log.v1 import log_read_service_pb2 as log_pb2

from services.chat import peers
from services.chat.peers import MessagePeer

ANN = 1
PAGE = 3


@dataclass
class Stub:
    """LogReadService with one user, whose rooms have activities; pages are short."""

    activities: dict[int, int]
    moves: list[tuple[int, int]] = field(default_factory=list)
    """(room id, activity): one happens after each answer."""
    epochs: Sequence[log_pb2.RoomEpoch] = ()
    """Of every room."""

    async def ListUserRooms(  # noqa: N802 — gRPC's name
        self, request: log_pb2.ListUserRoomsRequest, *, metadata: Sequence[tuple[str, str]]
    ) -> log_pb2.ListUserRoomsResponse:
        assert metadata
        before = (request.before_activity, request.before_room_id)
        places = sorted(((a, r) for r, a in self.activities.items()), reverse=True)
        found = [place for place in places if not before[0] or place < before]
        limit = min(request.limit, PAGE)
        rooms = [
            log_pb2.UserRoom(
                room_id=room_id,
                head_sequence=activity,
                joined_sequence=1,
                activity=activity,
                epochs=self.epochs,
            )
            for activity, room_id in found[:limit]
        ]
        if self.moves:
            self.activities.update([self.moves.pop(0)])
        ended = [log_pb2.EndedMembership(room_id=9, joined_sequence=1, left_sequence=2)]
        answer = log_pb2.UserRooms(
            user_id=ANN,
            rooms=rooms,
            truncated=len(found) > limit,
            ended=ended if request.with_ended else (),
        )
        return log_pb2.ListUserRoomsResponse(users=[answer])


@dataclass
class Client:
    stub: Stub


async def rooms_of(stub: Stub) -> peers.UserRoomList:
    return (await MessagePeer(Client(stub), "secret").all_rooms([ANN]))[ANN]  # type: ignore[arg-type]


async def test_every_room_of_a_user_is_told() -> None:
    """However many pages they fill: the edge passes nothing of a room it was not told."""
    found = await rooms_of(Stub({room_id: 100 + room_id for room_id in range(1, 9)}))
    assert [room.room_id for room in found.rooms] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert found.heads == {room_id: 100 + room_id for room_id in range(1, 9)}
    assert not found.truncated
    assert [(one.room_id, one.joined_sequence, one.left_sequence) for one in found.ended] == [(9, 1, 2)]


async def test_a_room_that_becomes_active_between_two_pages_is_not_missed() -> None:
    """It was below the first page and is above the second one."""
    found = await rooms_of(Stub({room_id: 100 + room_id for room_id in range(1, 9)}, moves=[(2, 500)]))
    assert found.heads.keys() == set(range(1, 9))
    assert (found.rooms[0].room_id, found.heads[2]) == (2, 500)


async def test_rooms_past_the_bound_are_said_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were active last are told."""
    monkeypatch.setattr(peers, "MAX_ROOMS_TOLD", 2 * PAGE)
    found = await rooms_of(Stub({room_id: 100 + room_id for room_id in range(1, 9)}))
    assert (len(found.rooms), found.truncated) == (2 * PAGE, True)


async def test_rooms_that_were_restored_often_fit_one_message_on_a_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each says its restores, so not only their number counts; those that were active last are told."""
    monkeypatch.setattr(peers, "MAX_BYTES_TOLD", 1000)
    epochs = [log_pb2.RoomEpoch(epoch=2**40 + n, head_sequence=n) for n in range(20)]
    found = await rooms_of(Stub({room_id: 100 + room_id for room_id in range(1, 9)}, epochs=epochs))
    assert sum(room.ByteSize() for room in found.rooms) <= 1000
    assert ([room.room_id for room in found.rooms], found.truncated) == ([8, 7, 6, 5], True)
    assert found.heads.keys() == {8, 7, 6, 5}


async def test_a_membership_that_ends_while_the_list_is_read_is_over() -> None:
    """Rooms are read first; in which room a member is again since then, they are present."""
    found = await rooms_of(Stub({8: 100, 9: 101}))
    assert found.heads == {8: 100}
    ended = [log_pb2.EndedMembership(room_id=9, joined_sequence=1, left_sequence=2)]
    again = log_pb2.UserRoom(room_id=9, head_sequence=5, joined_sequence=3)
    assert peers.UserRoomList.combined([again], ended).heads == {9: 5}
