"""`EdgeService.Session` with a reader that takes less than it is sent: as on a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.edge_service_pb2_grpc import EdgeServiceStub
from polychat.edge.v1.server_frame_pb2 import ServerFrame

from edge.peer import Peer
from tests.support.edge_client import LONG_TEXT, Here, client, open_here, talk_until_closing, until
from tests.support.edge_grpc import grpc_edge
from tests.support.edge_world import token

Call = grpc.aio.StreamStreamCall[ClientFrame, ServerFrame]
BOUND, SLOW = 64 * 1024, 16 * 1024


@asynccontextmanager
async def stream(here: Here, user_id: int) -> AsyncIterator[tuple[Call, Peer]]:
    """A session that was welcomed, from which nothing else is read yet, and the edge's end of it."""
    async with grpc_edge(here) as channel:
        call: Call = EdgeServiceStub(channel).Session()
        hello = ClientFrame(id=1)
        hello.hello.access_token = token(user_id)
        await call.write(hello)
        assert (await read(call)).HasField("welcome")
        peers = here.edge.sessions.peers.values()
        yield call, next(peer for peer in peers if peer.connection.user_id == user_id)
        call.cancel()


async def read(call: Call) -> ServerFrame:
    """The next frame."""
    async with asyncio.timeout(5):
        frame = await call.read()
    assert isinstance(frame, ServerFrame)
    return frame


async def read_for_ever(call: Call, told: list[int]) -> None:
    """Adds the sequences of the events that come; AioRpcError when the session ends."""
    while True:
        told.append((await read(call)).event.sequence)


async def test_a_slow_stream_lags_and_gets_what_it_missed() -> None:
    """Bounded while nothing is taken, complete and in order when it is."""
    async with open_here(unsent_bytes=BOUND, slow_bytes=SLOW) as here:
        here.world.room(7, 1, 2)
        async with stream(here, 1) as (call, peer), client(here, 2) as ben:
            most = 0
            while peer.moved is None:
                here.world.say(7, 2, LONG_TEXT)
                await ben.event()
            for _ in range(40):
                here.world.say(7, 2, LONG_TEXT)
                await ben.event()
                most = max(most, peer.unsent)
            assert BOUND < most <= BOUND + 2 * 64 * 1024
            for sequence in range(3, here.world.log.head(7) + 1):
                assert (await read(call)).event.sequence == sequence
            assert peer.moved is None
            here.world.say(7, 2, "last")
            assert (await read(call)).event.message_created.message.text == "last"


@pytest.mark.parametrize(
    ("reason", "code", "status"),
    [
        ({"stalled_seconds": 0.2}, 4002, grpc.StatusCode.UNAVAILABLE),
        ({"unsent_total_bytes": BOUND // 2}, 4104, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["4002", "4104"],
)
async def test_a_stream_that_wakes_in_time_learns_why(
    reason: dict[str, float], code: int, status: grpc.StatusCode
) -> None:
    """Nothing waits for it any more; after the frames that were on their way comes the status."""
    async with open_here(unsent_bytes=BOUND, slow_bytes=SLOW, **reason) as here:
        here.world.room(7, 1, 2)
        async with stream(here, 1) as (call, peer), client(here, 2) as ben:
            await talk_until_closing(here, peer, ben)
            assert peer.unsent == 0
            assert not here.edge.bounds.slow
            assert here.value("lagging_connections") == 0
            told: list[int] = []
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await read_for_ever(call, told)
            assert ended.value.code() is status
            assert f"closed with {code}" in str(ended.value.details())
            assert told == list(range(3, 3 + len(told)))
            assert 0 < len(told) < here.world.log.head(7) - 2
            await until(lambda: here.value("closes_total", code=str(code)) == 1)


async def test_a_stream_that_takes_nothing_is_cut() -> None:
    """Its handler waits for the peer to take a frame, and is ended all the same."""
    short = {"stalled_seconds": 0.2, "close_seconds": 0.2}
    async with open_here(unsent_bytes=BOUND, slow_bytes=SLOW, **short) as here:
        here.world.room(7, 1, 2)
        async with stream(here, 1) as (_, peer), client(here, 2) as ben:
            while peer.moved is None:
                here.world.say(7, 2, LONG_TEXT)
                await ben.event()
            number = peer.connection.connection_id
            await until(lambda: number not in here.edge.sessions.peers)
            assert here.value("closes_total", code="4002") == 1
            assert here.value("lagging_connections") == 0
            assert not here.edge.bounds.slow
