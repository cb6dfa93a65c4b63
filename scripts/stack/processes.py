"""Polychat's own processes: the four services and the edges."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import ClassVar

import grpc
from grpc_health.v1 import health_pb2

from scripts.stack.consul import http_get
from scripts.stack.errors import NotReadyError
from scripts.stack.layout import ROOT
from scripts.stack.part import Launch, Part
from scripts.stack.web_page import WebPage

PROBE_SECONDS = 3.0

Environment = Callable[[], Mapping[str, str]]


class Process(Part):
    """`python -m MODULE`, ready when its metrics port says so. `environment` is asked at each start."""

    def __init__(
        self,
        name: str,
        module: str,
        port: int,
        metrics_port: int,
        environment: Environment,
        needs: frozenset[str],
    ) -> None:
        super().__init__(name, port, needs)
        self._module = module
        self._metrics_port = metrics_port
        self.environment = environment

    def launch(self) -> Launch | None:
        return Launch((sys.executable, "-m", self._module), ROOT, self.environment())

    async def probe(self) -> None:
        await asyncio.to_thread(http_get, f"http://127.0.0.1:{self._metrics_port}/readyz")


class Service(Process):
    """A service is ready when its gRPC health check agrees, too."""

    async def probe(self) -> None:
        await super().probe()
        await _check_serving(f"127.0.0.1:{self.port}")


class Edge(Process):
    """An edge process; it serves the web page, which is built before the first of them starts."""

    stop_seconds: ClassVar[float] = 20.0

    def __init__(
        self,
        number: int,
        http_port: int,
        metrics_port: int,
        environment: Environment,
        page: WebPage,
    ) -> None:
        needs = frozenset({"auth", "user", "chat", "message"})
        super().__init__(f"edge-{number}", "edge", http_port, metrics_port, environment, needs)
        self._page = page

    async def fetch(self) -> None:
        await self._page.build()


async def _check_serving(address: str) -> None:
    """Return when the whole server at `address` answers SERVING; raise NotReadyError when not."""
    async with grpc.aio.insecure_channel(address) as channel:
        # Not the generated stub: its published types know no methods.
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(), timeout=PROBE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise NotReadyError(f"{address}: {error.code().name} {error.details()}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotReadyError(f"{address}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}")
