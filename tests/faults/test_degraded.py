"""Parts that carry no message of their own: while one does not answer, the rest goes on, later by seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.support.api import Api, ApiError
from tests.support.edges import on_each_edge
from tests.support.outages import frozen
from tests.support.peer import signed_in
from tests.support.sight import sight
from tests.support.signs import LOST_EDGE, OUTAGE
from tests.support.stack import Stack
from tests.support.transports import open_binary, open_json

SEND_SECONDS = 5.0
REVOKE_SECONDS = 30.0
"""Without the hint each edge asks auth about its sessions at least this often (REVOKE)."""

pytestmark = pytest.mark.timeout(120)


@pytest_asyncio.fixture
async def api(own_stack: Stack) -> AsyncIterator[Api]:
    """HTTP of the stack to break."""
    client = Api(own_stack.http_url)
    yield client
    await client.close()


async def test_a_signed_out_session_is_closed_without_redis(own_stack: Stack, api: Api) -> None:
    """Within 30 s instead of 5, and the lack is seen; another session of the same user stays."""
    anna = await api.register("anna")
    other = await api.login(anna)
    async with (
        signed_in(await open_json(own_stack.ws_url), anna.access_token) as here,
        signed_in(await open_binary(own_stack.ws_url), other.access_token) as there,
        sight(own_stack) as seen,
    ):
        with frozen(own_stack, "redis"):
            async with asyncio.TaskGroup() as seeing:
                seeing.create_task(seen.lasts(OUTAGE["redis"], SEND_SECONDS))
                await api.call("AuthService/Logout", {}, anna)
                assert (await here.closed(REVOKE_SECONDS + SEND_SECONDS)).code == 4200
                await there.call("RoomService/ListRooms", {})


async def test_messages_arrive_without_redis(own_stack: Stack, api: Api) -> None:
    """A send is answered in its 5 s, and afterwards the reader has everything."""
    anna, bert = await api.register("anna"), await api.register("bert")
    room = await api.create_room(anna, [bert])
    async with (
        signed_in(await open_json(own_stack.ws_url), anna.access_token) as writer,
        signed_in(await open_binary(own_stack.ws_url), bert.access_token) as reader,
    ):
        with frozen(own_stack, "redis"):
            began = time.monotonic()
            sent = [int((await writer.send(room, f"{n}"))["sequence"]) for n in range(2)]
            assert time.monotonic() - began < len(sent) * SEND_SECONDS
        await reader.event(room, sent[-1])
        assert reader.sequences(room) == sent


async def test_an_edge_that_stands_still_is_missed_by_chat(own_stack: Stack, api: Api) -> None:
    """Whoever is connected through it hears again of their rooms when it goes on."""
    anna = await api.register("anna")
    room = await api.create_room(anna)
    async with on_each_edge(own_stack) as sockets, AsyncExitStack() as peers:
        signed = [await peers.enter_async_context(signed_in(one, anna.access_token)) for one in sockets]
        async with sight(own_stack) as seen:
            with frozen(own_stack, "edge-1"):
                await seen.lasts(LOST_EDGE, 0.0)
        sent = int((await api.send(anna, room, "are you there?"))["sequence"])
        for peer in signed:
            await peer.event(room, sent)


async def test_a_sign_in_without_auth_is_refused_and_not_kept_waiting(own_stack: Stack, api: Api) -> None:
    """UNAVAILABLE, retryable; who is signed in talks on, with tokens that were checked before or not.

    Every edge has auth's keys by then: it asks for them at the first token that it sees.
    """
    anna = await api.register("anna")
    fresh = await api.login(anna)
    room = await api.create_room(anna)
    async with on_each_edge(own_stack) as sockets:
        for socket in sockets:
            async with signed_in(socket, anna.access_token):
                pass
    with frozen(own_stack, "auth"):
        with pytest.raises(ApiError) as refused:
            await api.login(anna)
        assert refused.value.code in ("unavailable", "deadline_exceeded")
        assert (await api.send(anna, room, "still here"))["sequence"] == "2"
        async with signed_in(await open_json(own_stack.ws_url), fresh.access_token) as peer:
            assert (await peer.send(room, "and here"))["sequence"] == "3"
