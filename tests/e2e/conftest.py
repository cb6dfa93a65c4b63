"""What every end to end test begins with: the real stack, people in it, and ways to talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.api import Api, User
from tests.support.grpcurl import grpcurl_program
from tests.support.peer import Connect, OpenTransport, Peer, signed_in
from tests.support.stack import Stack
from tests.support.transports import SessionStream, Transport, open_binary, open_json


@pytest_asyncio.fixture(scope="session")
async def api(stack: Stack) -> AsyncIterator[Api]:
    """HTTP, for everybody."""
    client = Api(stack.http_url)
    yield client
    await client.close()


@pytest_asyncio.fixture(scope="session")
async def grpcurl() -> Path:
    """The program, built on the first run where there is none."""
    return await grpcurl_program()


@pytest_asyncio.fixture(scope="module")
async def people(api: Api) -> list[User]:
    """Four users for the tests of a module, who share no room but those that a test makes."""
    return [await api.register(name) for name in ("anna", "bert", "cleo", "dora")]


@pytest.fixture
def open_transport(stack: Stack) -> OpenTransport:
    """A connection that has not said hello, by the name of its wire: json, binary, session."""

    async def open_(wire: str) -> Transport:
        if wire == "session":
            return SessionStream(stack.grpc_address("edge"))
        return await (open_json if wire == "json" else open_binary)(stack.ws_url)

    return open_


@pytest_asyncio.fixture
async def connect(open_transport: OpenTransport) -> AsyncIterator[Connect]:
    """Makes connections that end with the test."""
    async with AsyncExitStack() as open_ones:

        async def connect_(user: User, wire: str = "json", cursors: Mapping[int, int] | None = None) -> Peer:
            transport = await open_transport(wire)
            peer: AbstractAsyncContextManager[Peer] = signed_in(transport, user.access_token, cursors)
            return await open_ones.enter_async_context(peer)

        yield connect_
