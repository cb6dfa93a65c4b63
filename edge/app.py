"""Composition root of the edge process: discovery, gRPC and the edge itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from polychat.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from polychat.internal.directory.v1.session_directory_service_pb2_grpc import SessionDirectoryServiceStub
from polychat.internal.link.v1.link_service_pb2_grpc import LinkServiceStub
from polychat.internal.log.v1.log_read_service_pb2_grpc import LogReadServiceStub

from chassis import logs
from chassis.caller import internal_metadata
from chassis.grpc_server import serve_grpc
from chassis.run import Process
from chassis.tokens import TokenVerifier, jwks_from_auth
from discovery import Discovery, open_discovery
from edge.callers import Callers
from edge.config import EdgeLiveSettings, EdgeSettings
from edge.edge import Outside, open_edge
from edge.gateway import Gateway, RawCalls
from edge.log_reader import RemoteLogReader
from edge.methods import BACKENDS
from edge.session_service import edge_services


@asynccontextmanager
async def app(settings: EdgeSettings, process: Process[EdgeSettings]) -> AsyncIterator[None]:
    """Opens everything, serves, and drains on the way out."""
    async with open_discovery(process) as discovery:
        verifier = TokenVerifier(jwks_from_auth(discovery.client("auth", AuthServiceStub)))
        credential = internal_metadata(settings.internal_credential)
        backends = {name: discovery.client(name, RawCalls) for name in BACKENDS}
        callers = Callers(verifier, time.time)
        gateway = Gateway(backends, callers, settings.internal_credential)
        live = discovery.live_settings(EdgeLiveSettings)
        live.subscribe(lambda values: logs.set_level(values.log_level))
        outside = Outside(
            callers,
            gateway,
            RemoteLogReader(discovery.client("message", LogReadServiceStub), credential),
            discovery.client("chat", LinkServiceStub),
            discovery.client("auth", SessionDirectoryServiceStub),
            credential,
            lambda: live.value,
        )
        process.readiness.add("keys", verifier.problem)
        for name in BACKENDS:
            process.readiness.add(name, partial(_problem, discovery, name))
        async with (
            open_edge(settings, outside, process.metrics, process.readiness) as edge,
            serve_grpc(
                process,
                edge_services(edge.sessions, edge.outbox, edge.bounds, gateway),
                verifier,
                public=True,
            ) as server,
        ):
            await discovery.register("edge", server.port, http_port=edge.http_port)
            yield


def _problem(discovery: Discovery, service: str) -> str | None:
    return None if discovery.healthy(service) else "no healthy instance"
