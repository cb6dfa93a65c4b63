"""A server for the SDK that does on each connection what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from polychat.edge.v1.client_frame_pb2 import ClientFrame, Hello
from polychat.user.v1.user_pb2 import User
from polychat_sdk import Chat, Tokens
from polychat_sdk import connection as sdk_connection
from polychat_sdk.backoff import Backoff
from websockets.asyncio.server import ServerConnection, serve

Play = Callable[[ServerConnection, int], Awaitable[None]]
"""What the server does on a connection, after its hello; they are counted from 1."""


class FakeTokens(Tokens):
    """A session whose tokens nobody checks."""

    def __init__(self) -> None:
        self.user = User(user_id=9, username="anna")
        self.asked_fresh: list[bool] = []
        self.hellos: list[Hello] = []
        """What the server was told."""

    async def access_token(self, *, fresh: bool = False) -> str:
        self.asked_fresh.append(fresh)
        return "token"


@asynccontextmanager
async def client_of(
    play: Play, on_reset: Callable[[int], None] = lambda _room_id: None
) -> AsyncIterator[tuple[Chat, FakeTokens]]:
    """A client, not connected yet, of a server that plays its part; it comes back at once."""
    count = 0
    tokens = FakeTokens()

    async def handle(socket: ServerConnection) -> None:
        nonlocal count
        count += 1
        hello = ClientFrame.FromString(frame_bytes(await socket.recv()))
        assert hello.HasField("hello")
        tokens.hellos.append(hello.hello)
        await play(socket, count)

    def at_once() -> Backoff:
        return Backoff(jitter=lambda _limit: 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdk_connection, "Backoff", at_once)
        async with serve(handle, "127.0.0.1", 0, subprotocols=[sdk_connection.SUBPROTOCOL]) as server:
            port = server.sockets[0].getsockname()[1]
            async with asyncio.timeout(10):
                yield Chat(f"http://127.0.0.1:{port}", tokens, on_reset=on_reset), tokens


def frame_bytes(raw: str | bytes) -> bytes:
    """A frame of the binary wire."""
    assert isinstance(raw, bytes)
    return raw
