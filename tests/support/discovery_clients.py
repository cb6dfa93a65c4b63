"""Processes that find each other through a Consul of the test, and calls between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from polychat.user.v1.user_service_pb2 import GetUserRequest
from polychat.user.v1.user_service_pb2_grpc import UserServiceStub

from discovery import Discovery, ServiceClient, open_discovery
from tests.support.consul import ConsulAgent
from tests.support.instances import FakeUsers, make_process

Client = ServiceClient[UserServiceStub]


@asynccontextmanager
async def registered(consul: ConsulAgent, *servers: FakeUsers) -> AsyncIterator[list[Discovery]]:
    """The discovery of each server's process, registered as its name."""
    async with AsyncExitStack() as stack:
        found = []
        for server in servers:
            discovery = await stack.enter_async_context(
                open_discovery(make_process("user", server.name, consul.address))
            )
            await discovery.register("user", server.port)
            found.append(discovery)
        yield found


@asynccontextmanager
async def caller(consul: ConsulAgent) -> AsyncIterator[tuple[Discovery, Client]]:
    async with open_discovery(make_process("edge", "edge-1", consul.address)) as discovery:
        yield discovery, discovery.client("user", UserServiceStub)


async def ask(client: Client) -> str:
    reply = await client.stub.GetUser(GetUserRequest(user_id=1))
    return reply.user.display_name


def seen_by(client: Client, *names: str) -> Callable[[], Awaitable[bool]]:
    """Whether calls reach exactly these instances."""

    async def probe() -> bool:
        answers = await asyncio.gather(*(ask(client) for _ in range(8)), return_exceptions=True)
        return set(answers) == set(names)

    return probe
