"""A connection over time: heartbeats, tokens, revocation, limits, slow readers, draining."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from contextlib import AsyncExitStack

from edge.config import EdgeLiveSettings
from tests.support.edge_client import Here, client, open_here, raw_client, until
from tests.support.edge_world import token

REQUEST_ID = "0198c0de-7a11-7000-8000-000000000001"


async def test_welcome_tells_the_limits(here: Here) -> None:
    async with client(here, 1) as ada:
        assert ada.welcome["userId"] == "1"
        assert ada.welcome["heartbeat"] == "25s"
        assert ada.welcome["limits"] == {"frameBytes": 65536, "textBytes": 16384, "inFlight": 32}
        assert ada.welcome["serverTime"].endswith("Z")
        assert ada.welcome["connectionId"]


async def test_pings_and_a_peer_that_does_not_answer() -> None:
    """Two heartbeats unanswered: 4003."""
    async with open_here(heartbeat_seconds=0.1) as here, raw_client(here) as ada:
        await ada.send(id=1, hello={"accessToken": token(1)})
        assert "welcome" in await ada.frame()
        assert await ada.close_code() == 4003
        assert ada.events == [{"ping": {}}, {"ping": {}}]


async def test_pong_keeps_a_connection_alive() -> None:
    async with open_here(heartbeat_seconds=0.05) as here, client(here, 1) as ada:
        for _ in range(6):
            assert json.loads(await ada.socket.recv()) == {"ping": {}}
            await ada.send(pong={})
        assert ada.socket.close_code is None


async def test_the_end_of_a_token() -> None:
    """Warned before, closed with 4101 at the end."""
    async with (
        open_here(token_warning_seconds=1.5) as here,
        client(here, 1, access_token=token(1, seconds=2)) as ada,
    ):
        assert (await ada.frame())["tokenExpiring"]["expiresIn"] in ("0s", "1s", "2s")
        assert await ada.close_code() == 4101
        assert ada.events[-1]["error"]["reason"] == "TOKEN_EXPIRED"


async def test_refresh_moves_the_end() -> None:
    async with (
        open_here(token_warning_seconds=1.5) as here,
        client(here, 1, access_token=token(1, seconds=2)) as ada,
    ):
        assert "tokenExpiring" in await ada.frame()
        fresh = token(1, seconds=900)
        assert "ok" in await ada.ask(refresh={"accessToken": fresh})
        peer = next(iter(here.edge.sessions.peers.values()))
        assert peer.connection.expire_time > time.time() + 800
        await until(lambda: any(request.refresh for request in here.chat.requests))
        assert [r.refresh[0].access_token for r in here.chat.requests if r.refresh] == [fresh]


async def test_refresh_with_a_foreign_token(here: Here) -> None:
    """Another user's, or another session's: refused, and the connection lives."""
    async with client(here, 1) as ada:
        for foreign in (token(2), token(1, 777), "garbage"):
            error = (await ada.ask(refresh={"accessToken": foreign}))["error"]
            assert (error["code"], error["reason"]) == ("UNAUTHENTICATED", "TOKEN_INVALID")
        assert "pong" in await ada.ask(ping={})


async def test_a_revoked_session_is_closed(here: Here) -> None:
    """All its connections, and no other of the user."""
    async with (
        client(here, 1, access_token=token(1, 100)) as phone,
        client(here, 1, access_token=token(1, 100)) as phone_too,
        client(here, 1, access_token=token(1, 200)) as laptop,
    ):
        here.chat.tell(revoked_session_ids=[100])
        for device in (phone, phone_too):
            assert await device.close_code() == 4200
            assert device.events[-1]["error"]["reason"] == "SESSION_REVOKED"
        assert "pong" in await laptop.ask(ping={})


async def test_a_revocation_whose_hint_was_lost() -> None:
    async with open_here(check_sessions_seconds=0.05) as here, client(here, 1) as ada:
        here.world.ended_sessions.add(100)
        assert await ada.close_code() == 4200


async def test_connections_per_user(here: Here) -> None:
    here.limits[0] = EdgeLiveSettings(connections_per_user=2)
    async with client(here, 1), client(here, 1):
        async with raw_client(here) as third:
            await third.send(id=1, hello={"accessToken": token(1)})
            assert (await third.frame())["error"]["metadata"] == {"limit": "2"}
            assert await third.close_code() == 4205
        async with client(here, 2):
            pass
    await until(lambda: not here.edge.sessions.peers)
    async with client(here, 1):
        pass


async def test_handshakes_and_connections_per_address() -> None:
    async with open_here(trusted_addresses=()) as here:
        here.limits[0] = EdgeLiveSettings(connections_per_address=2)
        async with client(here, 1), client(here, 2):
            assert await _status(here) == 429
        await until(lambda: not here.edge.sessions.peers)
        here.limits[0] = EdgeLiveSettings(handshakes_per_address_per_second=1)
        statuses = [await _status(here) for _ in range(25)]
        assert 429 in statuses


async def _status(here: Here) -> int:
    """The status of a handshake, straight from the socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.edge.http_port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def test_frames_over_the_rate(here: Here) -> None:
    """RATE_LIMITED with a time to wait; who goes on regardless is closed with 4103."""
    here.limits[0] = EdgeLiveSettings(frames_per_second=0.1, frames_burst=3)
    async with client(here, 1) as ada:
        replies = [
            await ada.ask(send={"roomId": "7", "requestId": str(uuid.uuid4()), "text": "hi"})
            for _ in range(5)
        ]
        error = replies[-1]["error"]
        assert (error["code"], error["reason"]) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert error["retryAfter"]
        for number in range(120):
            await ada.send(id=number + 100, receipt={"roomId": "7", "readSequence": "1"})
        assert await ada.close_code() == 4103


# ---- draining -----------------------------------------------------------------------------------


async def test_draining_says_goaway_and_closes_with_4000() -> None:
    async with open_here(drain_seconds=1.0) as here:
        people = [client(here, number) for number in range(1, 6)]
        sockets = [await person.__aenter__() for person in people]
        here.edge.sessions.drain(0.3)
        for connected in sockets:
            goaway = (await connected.frame())["goaway"]
            assert goaway["reason"] == "DRAINING"
            assert 0 <= float(goaway["reconnectAfter"].removesuffix("s")) <= 0.3
            assert await connected.close_code() == 4000
        for person in people:
            await person.__aexit__(None, None, None)


async def test_an_edge_that_stops_leaves_chat_in_order() -> None:
    """Chat has read the end of every connection when the stream ends, and takes the edge for lost else."""
    async with AsyncExitStack() as people:
        async with open_here(drain_seconds=1.0) as here:
            for user in range(1, 31):
                await people.enter_async_context(client(here, user))
            (attached,) = here.chat.attached
            assert len(attached.users) == 30
        assert attached.users == {}
        assert attached.left


async def test_memory_of_an_idle_connection(here: Here) -> None:
    """At most 8 KiB each in user space (measured as Python's own allocations)."""
    import tracemalloc

    async def idle() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.edge.http_port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        hello = json.dumps({"id": 1, "hello": {"accessToken": shown}}).encode()
        writer.write(b"\x81\xfe" + len(hello).to_bytes(2, "big") + bytes(4) + hello)
        await reader.read(10)
        return writer

    shown = token(1)
    here.limits[0] = EdgeLiveSettings(connections_per_user=1000)
    kept = [await idle() for _ in range(20)]
    tracemalloc.start()
    filters = [tracemalloc.Filter(True, f"*/{part}/*") for part in ("edge", "websockets")]
    before = tracemalloc.take_snapshot().filter_traces(filters)
    kept += [await idle() for _ in range(50)]
    await until(lambda: len(here.edge.sessions.by_session[100]) == 70)
    after = tracemalloc.take_snapshot().filter_traces(filters)
    tracemalloc.stop()
    grown = sum(stat.size_diff for stat in after.compare_to(before, "filename"))
    assert 0 < grown / 50 < 8 * 1024
    for writer in kept:
        writer.close()
