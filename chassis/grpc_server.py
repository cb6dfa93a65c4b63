"""The one way to serve gRPC here: guarded methods, health, reflection and channelz, bounded streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from chassis import logs
from chassis.config import ProcessSettings
from chassis.grpc_options import PUBLIC_SERVER_OPTIONS, SERVER_OPTIONS
from chassis.health import Health
from chassis.interceptors import Access, Guard
from chassis.reflection import pool_of
from chassis.run import Process
from chassis.tokens import TokenVerifier

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
READINESS_SECONDS = 1.0
BIND_SECONDS = 10.0
"""How long a port that is still in use is tried again."""
REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
"""Same messages as v1alpha on the wire; the library ships only the older name."""

log = logs.get("grpc")


@dataclass(frozen=True)
class GrpcService:
    """A service to serve: its descriptor, how to add it, the servicer, and who may call each method."""

    descriptor: ServiceDescriptor
    add: Callable[[Any, grpc.aio.Server], None]
    servicer: object
    access: Mapping[str, Access]

    def methods(self) -> dict[str, Access]:
        """Access by full method path. ValueError unless the table names exactly the methods there are."""
        declared = {method.name for method in self.descriptor.methods}
        if declared != self.access.keys():
            wrong = ", ".join(sorted(declared ^ self.access.keys()))
            raise ValueError(f"the access table of {self.descriptor.full_name} is wrong about: {wrong}")
        return {f"/{self.descriptor.full_name}/{name}": access for name, access in self.access.items()}


@dataclass
class GrpcServer:
    """A server that runs."""

    port: int
    _server: grpc.aio.Server = field(repr=False)
    _health: HealthServicer = field(repr=False)

    async def drain(self, seconds: float) -> None:
        """Takes no new calls and gives those in flight this long."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(seconds)


@asynccontextmanager
async def serve_grpc(
    process: Process[Any],
    services: Sequence[GrpcService],
    verifier: TokenVerifier,
    *,
    public: bool = False,
) -> AsyncIterator[GrpcServer]:
    """Serves until the block ends, then drains. OSError when the port stays in use for 10 s.

    A `public` server bears with slow networks, and several of its kind may share the port (SO_REUSEPORT).
    """
    settings: ProcessSettings = process.settings
    access = {path: rule for service in services for path, rule in service.methods().items()}
    server = grpc.aio.server(
        interceptors=[Guard(process.metrics, access, verifier, settings.internal_credential)],
        options=(*(PUBLIC_SERVER_OPTIONS if public else SERVER_OPTIONS), ("grpc.so_reuseport", int(public))),
    )
    for service in services:
        service.add(service.servicer, server)
    names = [service.descriptor.full_name for service in services]
    health = HealthServicer()
    _add_inspection(server, health, names)
    port = await _bind(server, settings.grpc_host, settings.grpc_port)
    await server.start()
    running = GrpcServer(port, server, health)
    watcher = asyncio.create_task(_follow_readiness(process, health, names))
    try:
        yield running
    finally:
        watcher.cancel()
        await running.drain(settings.drain_seconds)


def _add_inspection(server: grpc.aio.Server, health: HealthServicer, names: Sequence[str]) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    channelz.add_channelz_servicer(server)
    names = [*names, "grpc.health.v1.Health", "grpc.channelz.v1.Channelz", reflection.SERVICE_NAME]
    pool = pool_of(names)
    names.append(REFLECTION_V1)
    reflection.enable_server_reflection(names, server, pool)
    servicer = ReflectionServicer(names, pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(REFLECTION_V1, {"ServerReflectionInfo": handler}),)
    )


async def _bind(server: grpc.aio.Server, host: str, port: int) -> int:
    deadline = asyncio.get_running_loop().time() + BIND_SECONDS
    while True:
        try:
            return server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise OSError(
                    f"gRPC port {host}:{port} is in use; free it or set POLYCHAT_GRPC_PORT"
                ) from error
            await asyncio.sleep(0.2)


async def _follow_readiness(process: Process[Any], health: HealthServicer, names: Sequence[str]) -> None:
    """Every second: gRPC's health, a sample for each check, and a log line for each change."""
    gauge = process.metrics.gauge("problem", "1 while this check of readiness is not fine", ["check"])
    known: Health | None = None
    while True:
        found = await process.readiness.health()
        if found != known:
            for check in process.readiness.names:
                gauge.labels(check).set(check in found.problems or check in found.degraded)
            for name in ("", *names):
                await health.set(name, NOT_SERVING if found.problems else SERVING)
            say = log.warning if found.problems or found.degraded else log.info
            say(
                "readiness_changed",
                ready=not found.problems,
                problems=found.problems,
                degraded=found.degraded,
            )
            known = found
        await asyncio.sleep(READINESS_SECONDS)
