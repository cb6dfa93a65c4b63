"""Reading the log for many at once: equal reads are one, and what waits leaves together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
import pytest
from polychat.internal.log.v1 import log_read_service_pb2 as pb

from chassis.errors import BackendUnavailable
from edge.log_reader import CALLS_AT_ONCE, RANGES, RemoteLogReader


class Message:
    """LogReadService that answers when `gate` is open, with the head as the proof of who asked what."""

    def __init__(self) -> None:
        self.calls: list[Sequence[pb.LogRange]] = []
        self.gate = asyncio.Event()
        self.away = False

    @property
    def stub(self) -> Any:
        return self

    async def ReadEvents(  # noqa: N802 — gRPC's name
        self, request: pb.ReadEventsRequest, metadata: object
    ) -> pb.ReadEventsResponse:
        self.calls.append(list(request.ranges))
        await self.gate.wait()
        if self.away:
            none = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, none, none)
        return pb.ReadEventsResponse(
            stretches=[
                pb.LogStretch(room_id=one.room_id, head_sequence=one.after_sequence + 1)
                for one in request.ranges
            ]
        )


def wanted(room_id: int, after: int = 0, user_id: int = 0) -> pb.LogRange:
    return pb.LogRange(room_id=room_id, after_sequence=after, limit=200, user_id=user_id)


async def turns(count: int = 20) -> None:
    """Lets everything happen that waits for nothing."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_equal_reads_at_once_are_one() -> None:
    message = Message()
    reader = RemoteLogReader(message, ())
    reads = [asyncio.create_task(reader.read([wanted(7, 41)])) for _ in range(500)]
    await turns()
    message.gate.set()
    heads = {(await read)[0].head_sequence for read in reads}
    assert heads == {42}
    assert [len(call) for call in message.calls] == [1]


async def test_reads_for_different_users_are_not_mixed_up() -> None:
    """What one may see the other may not."""
    message = Message()
    reader = RemoteLogReader(message, ())
    message.gate.set()
    await asyncio.gather(reader.read([wanted(7, 41, user_id=1)]), reader.read([wanted(7, 41, user_id=2)]))
    assert sorted(one.user_id for call in message.calls for one in call) == [1, 2]


async def test_what_waits_for_its_turn_leaves_together() -> None:
    """500 clients in as many rooms: the first calls take what is there, the next as much as fits."""
    message = Message()
    reader = RemoteLogReader(message, ())
    reads = [asyncio.create_task(reader.read([wanted(room, room)])) for room in range(1, 501)]
    await turns()
    message.gate.set()
    answers = [(await read)[0] for read in reads]
    assert [(one.room_id, one.head_sequence) for one in answers] == [
        (room, room + 1) for room in range(1, 501)
    ]
    assert len(message.calls) <= CALLS_AT_ONCE + 500 // RANGES + 1


async def test_a_read_after_another_sees_what_is_new() -> None:
    """Only who waits at the same time shares."""
    message = Message()
    reader = RemoteLogReader(message, ())
    message.gate.set()
    for _ in range(2):
        await reader.read([wanted(7)])
    assert len(message.calls) == 2


async def test_while_message_is_away_everybody_is_told() -> None:
    message = Message()
    message.away = True
    reader = RemoteLogReader(message, ())
    reads = [asyncio.create_task(reader.read([wanted(7), wanted(room)])) for room in (7, 8, 9)]
    await turns()
    message.gate.set()
    for read in reads:
        with pytest.raises(BackendUnavailable):
            await read
    message.away = False
    assert (await reader.read([wanted(7)]))[0].head_sequence == 1


async def test_who_shares_with_one_that_is_cancelled_is_told_and_may_read_again() -> None:
    message = Message()
    reader = RemoteLogReader(message, ())
    first = asyncio.create_task(reader.read([wanted(7)]))
    await turns()
    second = asyncio.create_task(reader.read([wanted(7)]))
    await turns()
    first.cancel()
    with pytest.raises(BackendUnavailable):
        await second
    message.gate.set()
    assert (await reader.read([wanted(7)]))[0].head_sequence == 1
