"""Room lists with the restores that their rooms have lived through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polychat.internal.log.v1 import log_read_service_pb2 as log_pb2

from edge.protocol.epochs import judged
from services.message.log_api import LogReadApi
from services.message.memory import MemoryLog
from services.message.ports import RoomEpoch, RoomOfUser, RoomsAsked
from services.message.use_cases import log_reading
from services.message.use_cases.log_reading import LogReading, voiding

FRAME = 4 * 1024 * 1024
"""What gRPC takes in one message."""
LARGE = 2**62


class Lists(MemoryLog):
    """Every user has the same rooms, as large as they come."""

    def __init__(self, rooms: int, restores: int) -> None:
        super().__init__()
        epochs = [RoomEpoch(1_700_000_000_000 + n, LARGE + n) for n in range(restores)]
        self._rooms_of_all = [
            RoomOfUser(LARGE - n, LARGE, LARGE, 2**31 - 1, LARGE, 1_700_000_000_000 - n, None, epochs)
            for n in range(rooms)
        ]

    async def user_rooms(self, asked: RoomsAsked) -> Mapping[int, list[RoomOfUser]]:
        """See ports.LogReader."""
        rooms, left = self._rooms_of_all, asked.total or LARGE
        if asked.before_activity:
            rooms = [room for room in rooms if room.activity_millis < asked.before_activity]
        found: dict[int, list[RoomOfUser]] = {}
        for user in asked.user_ids:
            found[user] = rooms[: min(asked.limit + 1, left)]
            left -= len(found[user])
        return found


async def answer(log: Lists, users: Sequence[int], before: int = 0) -> log_pb2.ListUserRoomsResponse:
    api = LogReadApi(LogReading(log), lambda: 0)
    request = log_pb2.ListUserRoomsRequest(user_ids=users, limit=1000, before_activity=before)
    return await api.ListUserRooms(request, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("restores", [5, 30])
async def test_an_answer_fits_a_message_however_often_the_log_was_restored(restores: int) -> None:
    """Each user has a share of it, and is told that there is more."""
    found = await answer(Lists(1000, restores), range(1, 31))
    assert FRAME // 2 < found.ByteSize() < FRAME
    assert {len(user.rooms) for user in found.users} == {len(found.users[0].rooms)}
    assert all(user.truncated for user in found.users)


async def test_every_room_is_on_one_of_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room with more restores than a share has bytes for is a page of its own."""
    monkeypatch.setattr(log_reading, "MAX_BYTES", 1000)
    log, seen, before, truncated = Lists(5, 100), list[int](), 0, True
    while truncated:
        (page,) = (await answer(log, [1], before)).users
        seen += [room.room_id for room in page.rooms]
        before, truncated = page.rooms[-1].activity, page.truncated
    assert seen == [LARGE - n for n in range(5)]


async def test_a_list_that_fits_is_not_cut() -> None:
    """Whoever else shares the answer."""
    found = await answer(Lists(1000, 1), [1, 2])
    assert [(len(user.rooms), user.truncated) for user in found.users] == [(1000, False), (1000, False)]


@given(st.lists(st.integers(0, 9), max_size=9), st.integers(0, 10), st.integers(0, 9))
def test_the_restores_that_are_told_void_what_all_of_them_do(
    heads: list[int], cursor: int, epoch: int
) -> None:
    """And no two of them went back as far."""
    every = [RoomEpoch(n, head) for n, head in enumerate(heads, start=1)]
    told = voiding(every)
    log = [one.epoch for one in every]
    wires = [[log_pb2.RoomEpoch(epoch=e, head_sequence=h) for e, h in some] for some in (every, told)]
    assert judged(cursor, epoch, wires[0], log) == judged(cursor, epoch, wires[1], log)
    assert [one.head_sequence for one in told] == sorted({one.head_sequence for one in told})
