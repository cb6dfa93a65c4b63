"""Readers that take less than they are sent."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support.edge_client import Client, Here, client, open_here, until
from tests.support.edge_world import token


def _small_socket(here: Here) -> socket.socket:
    """Connected, and takes only a little ahead of its reader."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", here.edge.http_port))
    sock.setblocking(False)
    return sock


@asynccontextmanager
async def sleeper(here: Here, user_id: int) -> AsyncIterator[ClientConnection]:
    """A client with small buffers that says hello and then reads nothing."""
    connected = await connect(here.url, sock=_small_socket(here), compression=None, proxy=None, max_queue=1)
    await connected.send(json.dumps({"id": 1, "hello": {"accessToken": token(user_id)}}))
    await connected.recv()
    connected.transport.pause_reading()
    yield connected
    connected.transport.abort()


async def test_a_slow_reader_is_closed_and_memory_stays_bounded() -> None:
    """Past the bound 4002; the others get everything; the edge never holds more than the bound and a tick."""
    bound = 256 * 1024
    async with open_here(unsent_bytes=bound, close_seconds=0.3) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1), client(here, 2) as ben:
            peer = next(peer for peer in here.edge.sessions.peers.values() if peer.connection.user_id == 1)
            most = 0
            for _ in range(600):
                here.world.say(7, 2, "x" * 15_000)
                assert "event" in await ben.event()
                most = max(most, peer.unsent)
            assert most > 0
            assert most <= bound + 64 * 1024
            await until(lambda: peer.connection.connection_id not in here.edge.sessions.peers)
            assert here.value("closes_total", code="4002") == 1


async def test_a_peer_that_takes_no_byte_is_cut() -> None:
    async with open_here(stalled_seconds=0.2, slow_bytes=1024, unsent_bytes=64 * 1024 * 1024) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1):
            for _ in range(600):
                here.world.say(7, 2, "x" * 15_000)
            await until(lambda: not here.edge.sessions.peers)
            assert here.value("closes_total", code="4002") == 1


async def test_ephemera_are_dropped_first() -> None:
    """A slow peer gets no typing; when it catches up it gets every event."""
    async with open_here(slow_bytes=1024, unsent_bytes=64 * 1024 * 1024) as here:
        here.world.room(7, 1, 2, 3)
        async with sleeper(here, 1) as connected, client(here, 2) as ben, client(here, 3) as cai:
            peer = next(peer for peer in here.edge.sessions.peers.values() if peer.connection.user_id == 1)
            count = 0
            while not peer.slow:
                here.world.say(7, 2, "x" * 15_000)
                count += 1
                assert "event" in await ben.event()
                assert "event" in await cai.event()
            await ben.send(typing={"roomId": "7"})
            assert "typing" in await cai.event()
            here.world.say(7, 2, "last")
            connected.transport.resume_reading()
            woken = Client(connected)
            frames = [await woken.frame() for _ in range(count + 1)]
        assert all("event" in frame for frame in frames)
        assert frames[-1]["event"]["messageCreated"]["message"]["text"] == "last"


@pytest.mark.parametrize("rings", [False, True], ids=["from the log", "from the rings"])
async def test_a_long_resume_makes_nobody_slow(rings: bool) -> None:
    """What was missed is replayed as fast as it is taken, and is no reason for 4002."""
    rooms, each = range(1, 6), 60
    async with open_here() as here, contextlib.AsyncExitStack() as others:
        for room_id in rooms:
            here.world.room(room_id, 1, 2)
        if rings:
            ben = await others.enter_async_context(client(here, 2))
        for room_id in rooms:
            for _ in range(each):
                here.world.say(room_id, 2, "x" * 15_000)
                if rings:
                    assert "event" in await ben.event()
        cursors = dict.fromkeys(rooms, 2)
        async with client(here, 1, cursors, sock=_small_socket(here), max_queue=1) as ada:
            most = 0
            for _ in range(len(rooms) * each):
                event = (await ada.event())["event"]
                cursors[int(event["roomId"])] += 1
                assert int(event["sequence"]) == cursors[int(event["roomId"])]
                most = max([most, *(peer.unsent for peer in here.edge.sessions.peers.values())])
            assert "pong" in await ada.ask(ping={})
        assert set(cursors.values()) == {each + 2}
        assert 0 < most < 192 * 1024
