"""Readers that are closed because they take too little: who wakes in time learns why."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf import json_format
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from edge.peer import Peer
from edge.protocol.codes import CloseCode
from edge.protocol.connection import Phase
from tests.support.edge_client import LONG_TEXT, Here, client, open_here, talk_until_closing, until
from tests.support.edge_world import token

JSON, PROTO = Subprotocol("polychat.v1.json"), Subprotocol("polychat.v1.proto")
SLOW, BOUND = 16 * 1024, 128 * 1024
PORTION = 64 * 1024
STALLED = {"stalled_seconds": 0.2}
OVERLOADED = {"unsent_total_bytes": BOUND}


@asynccontextmanager
async def sleeper(
    here: Here, user_id: int, wire: Subprotocol
) -> AsyncIterator[tuple[ClientConnection, Peer]]:
    """A client with small buffers that was welcomed and then reads nothing, and the edge's end of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", here.edge.http_port))
    sock.setblocking(False)
    connected = await connect(
        here.url, sock=sock, subprotocols=[wire], compression=None, proxy=None, max_queue=1
    )
    hello = {"id": 1, "hello": {"accessToken": token(user_id)}}
    binary = json_format.ParseDict(hello, ClientFrame()).SerializeToString()
    await connected.send(json.dumps(hello) if wire is JSON else binary)
    await connected.recv()
    connected.transport.pause_reading()
    peers = here.edge.sessions.peers.values()
    yield connected, next(peer for peer in peers if peer.connection.user_id == user_id)
    connected.transport.abort()


async def read_to_the_end(connected: ClientConnection) -> tuple[list[int], int | None]:
    """The sequences of the events that came, whole and in order, and the close code."""
    told = []
    connected.transport.resume_reading()
    try:
        async with asyncio.timeout(5):
            while True:
                data = await connected.recv()
                told.append(int(_frame(data)["event"]["sequence"]))
    except ConnectionClosed:
        return told, connected.close_code


def _frame(data: str | bytes) -> dict[str, Any]:
    if isinstance(data, str):
        frame: dict[str, Any] = json.loads(data)
        return frame
    return json_format.MessageToDict(ServerFrame.FromString(data))


@pytest.mark.parametrize("wire", [JSON, PROTO])
@pytest.mark.parametrize(("reason", "code"), [(STALLED, 4002), (OVERLOADED, 4104)], ids=["4002", "4104"])
async def test_who_wakes_in_time_learns_why(wire: Subprotocol, reason: dict[str, float], code: int) -> None:
    """Whole frames without a hole, then the code. Meanwhile it holds little and is in no room."""
    async with open_here(slow_bytes=SLOW, unsent_bytes=BOUND, **reason) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1, wire) as (connected, peer), client(here, 2) as ben:
            await talk_until_closing(here, peer, ben)
            assert peer.unsent <= SLOW + PORTION
            assert not here.edge.bounds.slow
            assert peer not in here.edge.fanout.rooms[7].live
            assert here.value("lagging_connections") == 0
            here.world.say(7, 2, "not for who is closed")
            await ben.event()
            told, closed_with = await read_to_the_end(connected)
            assert closed_with == code
            assert told == list(range(3, 3 + len(told)))
            assert 0 < len(told) < here.world.log.head(7) - 2
            await until(lambda: here.value("closes_total", code=str(code)) == 1)


@pytest.mark.parametrize(("reason", "code"), [(STALLED, 4002), (OVERLOADED, 4104)], ids=["4002", "4104"])
async def test_who_does_not_wake_is_cut(reason: dict[str, float], code: int) -> None:
    """A closing handshake's time is all that it gets."""
    async with open_here(slow_bytes=SLOW, unsent_bytes=BOUND, close_seconds=0.2, **reason) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1, JSON) as (_, peer), client(here, 2) as ben:
            await talk_until_closing(here, peer, ben)
            number = peer.connection.connection_id
            assert number in here.edge.sessions.peers
            await until(lambda: number not in here.edge.sessions.peers)
            assert here.value("closes_total", code=str(code)) == 1


async def test_a_large_frame_on_its_way_is_cut_at_once() -> None:
    """A frame that was begun cannot be taken back; past the bound of a slow peer memory goes first."""
    async with open_here(slow_bytes=1024, unsent_bytes=4096, close_seconds=3600.0, **STALLED) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1, JSON) as (_, peer), client(here, 2) as ben:
            await talk_until_closing(here, peer, ben)
            await until(lambda: peer.connection.connection_id not in here.edge.sessions.peers)
            assert peer.unsent == 0


async def test_an_ordinary_close_that_is_not_taken_goes_when_memory_does() -> None:
    """It waits behind all that is unsent, and counts; of who holds too much together it is one."""
    async with open_here(slow_bytes=SLOW, unsent_total_bytes=BOUND, close_seconds=3600.0) as here:
        here.world.room(7, 1, 2)
        here.world.room(8, 2, 3)
        async with (
            sleeper(here, 1, JSON) as (_, leaving),
            sleeper(here, 3, JSON) as (_, other),
            client(here, 2) as ben,
        ):
            while leaving.unsent < BOUND * 3 // 4:
                here.world.say(7, 2, LONG_TEXT)
                await ben.event()
            here.edge.sessions.close(leaving, CloseCode.TOKEN_EXPIRED)
            assert leaving.unsent > BOUND * 3 // 4
            while leaving.connection.connection_id in here.edge.sessions.peers and other.unsent < BOUND // 2:
                here.world.say(8, 2, LONG_TEXT)
                await ben.event()
            await until(lambda: here.value("closes_total", code="4101") == 1)
            assert other.connection.phase is Phase.OPEN
