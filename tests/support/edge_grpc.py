"""The gRPC port of an edge in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from chassis.grpc_server import serve_grpc
from chassis.run import Process
from edge.session_service import edge_services
from tests.support.edge_client import Here


@asynccontextmanager
async def grpc_edge(here: Here) -> AsyncIterator[grpc.aio.Channel]:
    """The edge's gRPC services as `serve_grpc` guards them."""
    process = Process("edge", here.settings)
    services = edge_services(here.edge.sessions, here.edge.outbox, here.edge.bounds, here.gateway)
    async with (
        serve_grpc(process, services, here.verifier) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield channel
