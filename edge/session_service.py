"""gRPC in front: `EdgeService.Session`, and every public unary method passed on as bytes.

A session is the same connection as a WebSocket, frame for frame; only the wire differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from polychat.edge.v1 import edge_service_pb2

from chassis import logs
from chassis.caller import AUTHORIZATION
from chassis.errors import RemoteFailure
from chassis.grpc_server import GrpcService
from chassis.interceptors import Access, bearer
from edge.bounds import Bounds
from edge.gateway import Gateway, Origin, check_binary
from edge.methods import METHODS, Method, services
from edge.peer import Outbox
from edge.protocol.codes import CloseCode, status_code_for
from edge.sessions import Sessions
from edge.stream_peer import StreamPeer

CANCELLED = 1006

log = logs.get("edge")

Context = grpc.aio.ServicerContext[bytes, bytes]


class SessionService:
    """EdgeService."""

    def __init__(self, sessions: Sessions, outbox: Outbox, bounds: Bounds) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self._bounds = bounds

    async def Session(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:  # noqa: N802 — gRPC's name
        """One connection. Ends with the status of its close code. Raises TooManyConnections, RateLimited."""
        address = _address(context)
        refusal = self._sessions.admission.refuse_handshake(address)
        if refusal is not None:
            raise refusal
        connection = self._sessions.new_connection()
        peer = StreamPeer(connection, self._outbox, self._sessions, self._bounds, address)
        peer.handler = asyncio.current_task()
        self._sessions.connected(peer)
        reader = asyncio.create_task(peer.read(requests))
        reader.add_done_callback(lambda task: _ended(peer, task))
        try:
            async for frame in peer.frames():
                yield frame
        finally:
            reader.cancel()
            peer.handler = None
            code = peer.closed_with[0] if peer.closed_with is not None else CANCELLED
            peer.abort()
            self._sessions.closed(peer, code)
        if peer.closed_with is not None and peer.closed_with[0] is not CloseCode.NORMAL:
            code, reason = peer.closed_with
            raise RemoteFailure(status_code_for(code), reason, f"closed with {int(code)}")


def _ended(peer: StreamPeer, reader: asyncio.Task[None]) -> None:
    if reader.cancelled():
        return
    bug = reader.exception()
    if bug is not None:
        log.error("session_failed", exc_info=bug)
    peer.shut(CloseCode.NORMAL if bug is None else CloseCode.INTERNAL, "")


def edge_services(sessions: Sessions, outbox: Outbox, bounds: Bounds, gateway: Gateway) -> list[GrpcService]:
    """EdgeService and all public services, for `serve_grpc`."""
    own = edge_service_pb2.DESCRIPTOR.services_by_name["EdgeService"]
    service = SessionService(sessions, outbox, bounds)
    found = [GrpcService(own, _add_session, service, {"Session": Access.PUBLIC})]
    for _, public in services():
        access = {method.name: Access.PUBLIC for method in public.methods}
        found.append(GrpcService(public, _adder(public), gateway, access))
    return found


def _add_session(servicer: SessionService, server: grpc.aio.Server) -> None:
    handler: Any = grpc.stream_stream_rpc_method_handler(servicer.Session)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("polychat.edge.v1.EdgeService", {"Session": handler}),)
    )


def _adder(service: ServiceDescriptor) -> Callable[[Gateway, grpc.aio.Server], None]:
    def add(gateway: Gateway, server: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            method.name: grpc.unary_unary_rpc_method_handler(
                _forward(gateway, METHODS[f"{service.full_name}/{method.name}"])
            )
            for method in service.methods
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    return add


def _forward(gateway: Gateway, method: Method) -> Any:
    async def forward(request: bytes, context: Context) -> bytes:
        check_binary(method, request)
        origin = Origin(_address(context), _token(context), context.time_remaining())
        return await gateway.call(method, request, origin)

    return forward


def _address(context: Context) -> str:
    """The peer's address out of gRPC's `ipv4:host:port` or `ipv6:[host]:port`."""
    return unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")


def _token(context: Context) -> str | None:
    metadata: Sequence[tuple[str, str | bytes]] = context.invocation_metadata() or ()  # type: ignore[assignment]
    values = [str(value) for key, value in metadata if key == AUTHORIZATION]
    return bearer(values[0]) if values else None
