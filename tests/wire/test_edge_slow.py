"""Readers that take less than they are sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import pytest
from websockets.asyncio.client import ClientConnection, connect

from edge.peer import Peer
from tests.support.edge_client import Client, Here, client, open_here, until
from tests.support.edge_world import token


def _small_socket(here: Here) -> socket.socket:
    """Connected, and takes only a little ahead of its reader."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", here.edge.http_port))
    sock.setblocking(False)
    return sock


READ_BYTES = 256 * 1024
"""What a loop reads at once; pings in it are all answered."""


def request(room_id: int, text: str) -> dict[str, str]:
    """The body of a `send`."""
    return {"roomId": str(room_id), "requestId": str(uuid.uuid4()), "text": text}


async def fall_behind(here: Here, peer: Peer, writer: Client) -> None:
    """User 2 talks in room 7 until the peer lags."""
    while peer.moved is None:
        here.world.say(7, 2, "x" * 15_000)
        await writer.event()


@asynccontextmanager
async def sleeper(here: Here, user_id: int) -> AsyncIterator[ClientConnection]:
    """A client with small buffers that says hello and then reads nothing."""
    connected = await connect(here.url, sock=_small_socket(here), compression=None, proxy=None, max_queue=1)
    await connected.send(json.dumps({"id": 1, "hello": {"accessToken": token(user_id)}}))
    await connected.recv()
    connected.transport.pause_reading()
    yield connected
    connected.transport.abort()


def peer_of(here: Here, user_id: int) -> Peer:
    """The edge's end of a user's connection."""
    return next(peer for peer in here.edge.sessions.peers.values() if peer.connection.user_id == user_id)


async def view(reader: Client, room_id: int, start: int, head: int) -> list[str]:
    """Reads until everything up to the head was seen: each event once, in order, or told by a gap."""
    cursor, told = start, []
    while cursor < head:
        frame = await reader.event()
        if "gap" in frame:
            assert (frame["gap"]["roomId"], int(frame["gap"]["fromSequence"])) == (str(room_id), cursor + 1)
            cursor = int(frame["gap"]["headSequence"])
        else:
            assert (frame["event"]["roomId"], int(frame["event"]["sequence"])) == (str(room_id), cursor + 1)
            cursor += 1
        told.append(next(iter(frame)))
    assert cursor == head
    return told


@pytest.mark.parametrize(("messages", "gaps"), [(60, 0), (600, 1)], ids=["replayed", "one gap"])
async def test_a_slow_reader_lags_and_gets_what_it_missed(messages: int, gaps: int) -> None:
    """Past the bound it gets nothing more; when it reads again it gets all, or one gap, and then goes on."""
    bound = 256 * 1024
    async with open_here(unsent_bytes=bound) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1) as connected, client(here, 2) as ben:
            peer, most = peer_of(here, 1), 0
            for _ in range(messages):
                here.world.say(7, 2, "x" * 15_000)
                assert "event" in await ben.event()
                most = max(most, peer.unsent)
            assert bound < most <= bound + 2 * 64 * 1024
            assert here.value("lagging_connections") == 1
            connected.transport.resume_reading()
            woken = Client(connected)
            told = await view(woken, 7, 2, messages + 2)
            assert told.count("gap") == gaps
            here.world.say(7, 2, "last")
            assert (await woken.event())["event"]["messageCreated"]["message"]["text"] == "last"
            assert (here.value("lagging_connections"), here.value("lags_total")) == (0, 1)
        assert here.value("unsent_bytes_peak") >= bound


async def test_nothing_after_a_leave_reaches_a_lagging_reader() -> None:
    """Gone and back while it lags: each membership begins and ends for it exactly where the log says (I5)."""
    async with open_here() as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1) as connected, client(here, 2) as ben:
            peer = peer_of(here, 1)
            await fall_behind(here, peer, ben)
            here.world.say(7, 2, "mine")
            here.world.leave(7, 1)
            left = here.world.log.head(7)
            here.world.say(7, 2, "secret")
            here.world.join(7, 1)
            back = here.world.say(7, 2, "mine")
            for _ in range(5):
                await ben.event()
            connected.transport.resume_reading()
            woken = Client(connected)
            frames: list[dict[str, Any]] = []
            while not frames or frames[-1].get("event", {}).get("sequence") != str(back):
                frames.append(await woken.event())
        assert "secret" not in str(frames)
        skipped = {"roomId": "7", "fromSequence": str(left + 1), "toSequence": str(left + 1)}
        assert [frame["skip"] for frame in frames if "skip" in frame] == [skipped]
        told = [int(frame["event"]["sequence"]) for frame in frames if "event" in frame]
        assert told == [at for at in range(3, back + 1) if at != left + 1]


async def test_a_room_joined_while_lagging_begins_with_the_coming() -> None:
    async with open_here() as here:
        here.world.room(7, 1, 2)
        here.world.room(8, 2)
        async with sleeper(here, 1) as connected, client(here, 2) as ben:
            peer = peer_of(here, 1)
            await fall_behind(here, peer, ben)
            here.world.say(8, 2, "before")
            here.world.join(8, 1)
            here.world.say(8, 2, "after")
            for _ in range(3):
                await ben.event()
            connected.transport.resume_reading()
            woken = Client(connected)
            await view(woken, 7, 2, here.world.log.head(7))
            assert "memberJoined" in (await woken.event())["event"]
            assert (await woken.event())["event"]["messageCreated"]["message"]["text"] == "after"


async def test_the_link_breaks_while_a_reader_lags() -> None:
    """What happened while nobody was attached is in its replay as well."""
    async with open_here() as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1) as connected, client(here, 2) as ben:
            peer = peer_of(here, 1)
            await fall_behind(here, peer, ben)
            here.chat.break_off()
            await until(lambda: here.edge.link.attached_to is None)
            here.world.say(7, 2, "unheard")
            await ben.event()
            here.world.say(7, 2, "heard")
            await ben.event()
            connected.transport.resume_reading()
            told = await view(Client(connected), 7, 2, here.world.log.head(7))
        assert set(told) == {"event"}


async def test_requests_are_answered_while_lagging() -> None:
    """In line, behind what waits; a slow reader is not asked for a heartbeat, which would wait there too."""
    async with open_here(heartbeat_seconds=0.05) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1) as connected, client(here, 2) as ben:
            peer = peer_of(here, 1)
            await fall_behind(here, peer, ben)
            unsent = peer.unsent
            await connected.send(json.dumps({"id": 2, "send": request(7, "from behind")}))
            assert "from behind" in str(await ben.event())
            await until(lambda: peer.unsent > unsent)
            connected.transport.resume_reading()
            sent = await Client(connected).reply(2)
            assert sent["sent"]["sequence"] == str(here.world.log.head(7))


async def test_a_large_reply_waits_for_what_is_untaken() -> None:
    """It is not kept behind all that: the reader is told to ask again."""
    async with open_here(slow_bytes=1024) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1) as connected, client(here, 2) as ben:
            peer = peer_of(here, 1)
            while not peer.slow:
                here.world.say(7, 2, "x" * 15_000)
                await ben.event()
            params = {"requestId": str(uuid.uuid4()), "title": "Team", "kind": "ROOM_KIND_GROUP"}
            call = {"method": "polychat.chat.v1.RoomService/CreateRoom", "params": params}
            with patch("edge.peer.SMALL_REPLY_BYTES", 0), patch("edge.peer.REPLIES_BYTES", 0):
                await connected.send(json.dumps({"id": 2, "call": call}))
                await until(lambda: here.value("replies_total", kind="call", result="OVERLOADED") == 1)
            connected.transport.resume_reading()
            error = (await Client(connected).reply(2))["error"]
            assert (error["reason"], error["retryable"]) == ("OVERLOADED", True)


async def test_a_reader_that_asks_and_takes_nothing_is_not_read_from() -> None:
    """Its own replies count: past twice the bound nothing is taken from it until it has drained."""
    bound = 16 * 1024
    async with open_here(unsent_bytes=bound, slow_bytes=4096) as here:
        here.world.room(7, 1, 2)
        async with sleeper(here, 1) as connected:
            peer = peer_of(here, 1)
            asking = asyncio.create_task(ask_for_ever(connected))
            await until(lambda: peer.connection.clogged)
            assert peer.unsent <= 2 * bound + READ_BYTES
            asking.cancel()
            connected.transport.resume_reading()
            while peer.connection.clogged:
                await Client(connected).frame()


async def ask_for_ever(connected: ClientConnection) -> None:
    """Pings with ids, as fast as they are taken."""
    while True:
        await connected.send(json.dumps({"id": 4_000_000_000, "ping": {}}))


async def test_a_peer_that_takes_no_byte_is_cut() -> None:
    short = {"stalled_seconds": 0.2, "close_seconds": 0.2}
    async with open_here(slow_bytes=1024, unsent_bytes=64 * 1024 * 1024, **short) as here:
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
