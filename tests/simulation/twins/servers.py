"""gRPC servers in memory: the product's servicers behind the product's Guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from chassis.grpc_server import GrpcService
from chassis.interceptors import Guard
from tests.simulation.loop import Node, current_node
from tests.simulation.network import Pipe


def broken(code: grpc.StatusCode, text: str = "", trailing: Sequence[Any] = ()) -> grpc.aio.AioRpcError:
    """What a call fails with."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=text)


def unavailable() -> grpc.aio.AioRpcError:
    """The connection broke."""
    return broken(grpc.StatusCode.UNAVAILABLE, "the connection broke")


class Server:
    """The methods that a process serves."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.methods: dict[str, Any] = {}
        self.running: dict[asyncio.Task[Any], None] = {}
        self.open = True

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """The generated code says the same twice; the other one is used."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """See grpc.aio.Server."""
        self.methods |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def run(self, work: Any) -> asyncio.Task[Any]:
        """Runs a handler in the process."""
        task = self.node.start(work)
        self.running[task] = None
        task.add_done_callback(lambda done: self.running.pop(done, None))
        return task


SERVERS: dict[Node, Server] = {}


@asynccontextmanager
async def serve_grpc(
    process: Any, services: Sequence[GrpcService], verifier: Any, *, public: bool = False
) -> AsyncIterator[Any]:
    """chassis.grpc_server.serve_grpc."""
    server: Any = Server(current_node())
    access = {path: rule for service in services for path, rule in service.methods().items()}
    for service in services:
        service.add(service.servicer, server)
    guard = Guard(process.metrics, access, verifier, process.settings.internal_credential)
    for path, handler in server.methods.items():
        server.methods[path] = guard._wrap(path, access[path], handler)
    SERVERS[server.node] = server
    server.port = server.node.number
    try:
        yield server
    finally:
        server.open = False
        if server.running:
            await asyncio.wait(list(server.running), timeout=process.settings.drain_seconds)
        for task in list(server.running):
            task.cancel()
        if server.running:
            await asyncio.wait(list(server.running))


class Context:
    """Of a servicer's context what is used."""

    def __init__(self, metadata: Any, seconds: float | None) -> None:
        self._metadata = tuple(metadata or ())
        self._seconds = seconds
        self.failure: grpc.aio.AioRpcError | None = None
        self.write: Any = None

    def invocation_metadata(self) -> Any:
        """See grpc."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """See grpc."""
        return self._seconds

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing: Any = ()) -> None:
        """See grpc."""
        self.failure = broken(code, details, trailing)
        raise grpc.aio.AbortError


async def serve_unary(
    server: Server, path: str, data: bytes, metadata: Any, seconds: float, back: Pipe
) -> None:
    """Runs the handler of a unary call and sends back what it gives."""
    handler = server.methods.get(path)
    if handler is None:
        back.send(broken(grpc.StatusCode.UNIMPLEMENTED))
        return
    context = Context(metadata, seconds)
    try:
        reply = await handler.unary_unary(handler.request_deserializer(data), context)
        back.send(handler.response_serializer(reply))
    except grpc.aio.AbortError:
        back.send(context.failure)
