"""Instances of a service for tests of discovery: real gRPC servers with health that answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from polychat.user.v1 import user_service_pb2

from chassis.config import ProcessSettings
from chassis.grpc_options import SERVER_OPTIONS
from chassis.run import Process
from tests.support.secret_file import any_secret_file

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

Status = Any
"""A value of health_pb2.HealthCheckResponse.ServingStatus; the stubs have no name for it."""
Answer = Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[None]]


def make_process(name: str, instance: str, consul_addr: str) -> Process[ProcessSettings]:
    """A process as `chassis.run` would make it."""
    settings = ProcessSettings(
        instance=instance,
        grpc_port=0,
        consul_addr=f"http://{consul_addr}",
        internal_credential_file=any_secret_file(),
    )
    return Process(name, settings)


class FakeUsers:
    """UserService.GetUser on a port of its own: counts the calls, tells its name as the display name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.port = 0
        self.answer: Answer | None = None
        """Runs before the reply; may abort or wait."""
        self._health = HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listens, on the same port as before if there was one."""
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        handler = grpc.unary_unary_rpc_method_handler(
            self._get_user,
            user_service_pb2.GetUserRequest.FromString,
            user_service_pb2.GetUserResponse.SerializeToString,
        )
        methods = grpc.method_handlers_generic_handler("polychat.user.v1.UserService", {"GetUser": handler})
        self._server.add_generic_rpc_handlers((methods,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        await self.tell(SERVING)

    async def tell(self, status: Status) -> None:
        """Changes its health."""
        await self._health.set("", status)

    async def stop(self) -> None:
        """Ends it with all its connections."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def _get_user(
        self, _request: user_service_pb2.GetUserRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> user_service_pb2.GetUserResponse:
        self.calls += 1
        if self.answer is not None:
            await self.answer(context)
        reply = user_service_pb2.GetUserResponse()
        reply.user.display_name = self.name
        return reply


@asynccontextmanager
async def users(*names: str) -> AsyncIterator[list[FakeUsers]]:
    """Started instances with these names."""
    made = [FakeUsers(name) for name in names]
    try:
        for server in made:
            await server.start()
        yield made
    finally:
        await asyncio.gather(*(server.stop() for server in made))
