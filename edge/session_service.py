"""gRPC in front: `EdgeService.Session`, and every public unary method passed on as bytes.

A session is the same connection as a WebSocket, frame for frame; only the wire differs.
"""

from __future__ import annotations

import asyncio
from collections import deque
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
from edge.gateway import Gateway, Origin, check_binary
from edge.methods import METHODS, Method, services
from edge.peer import Outbox, Peer
from edge.protocol.codes import CloseCode, status_code_for
from edge.protocol.connection import Connection
from edge.protocol.events import Wire
from edge.sessions import Sessions

UNSENT_BYTES = 256 * 1024
SLOW_BYTES = 64 * 1024
CANCELLED = 1006

log = logs.get("edge")

Context = grpc.aio.ServicerContext[bytes, bytes]


class StreamPeer(Peer):
    """One `Session` stream: frames wait in a bounded queue for the handler to send them."""

    __slots__ = ("_close", "_frames", "_moved", "_resumed", "_sessions", "_size", "_taken")

    def __init__(self, connection: Connection, outbox: Outbox, sessions: Sessions, address: str) -> None:
        super().__init__(connection, Wire.STREAM, outbox, address)
        self._sessions = sessions
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._close: tuple[CloseCode, str] | None = None
        self._moved = asyncio.Event()
        self._taken = asyncio.Event()
        self._resumed = asyncio.Event()
        self._resumed.set()

    def transmit(self, chunks: list[bytes]) -> None:
        """See Peer."""
        if self._close is not None:
            return
        self._frames.extend(chunks)
        self._size += sum(map(len, chunks))
        self._moved.set()
        if self._size > UNSENT_BYTES:
            self.outbox.later(lambda: self._sessions.too_slow(self))

    async def frames(self) -> AsyncIterator[bytes]:
        """What is to be sent, until the connection closes."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                self._size -= len(frame)
                self._taken.set()
                yield frame
            if self._close is not None:
                return
            self._moved.clear()
            await self._moved.wait()

    async def read(self, requests: AsyncIterator[bytes]) -> None:
        """Takes the client's frames in, one by one, as fast as the connection allows."""
        async for data in requests:
            self._sessions.receive(self, data)
            if self.held is not None:
                self._resumed.clear()
                await self._resumed.wait()

    @property
    def closed_with(self) -> tuple[CloseCode, str] | None:
        """The code and reason the edge closed with."""
        return self._close

    @property
    def slow(self) -> bool:
        """See Peer."""
        return self._size > SLOW_BYTES

    @property
    def unsent(self) -> int:
        """See Peer."""
        return self._size

    async def drained(self) -> None:
        """See Peer."""
        while self.slow and self._close is None:
            self._taken.clear()
            await self._taken.wait()

    def resume_reading(self) -> None:
        """See Peer."""
        while self.held and self.connection.readable:
            self._sessions.receive(self, self.held.popleft())
        if not self.held and self.connection.readable:
            self.held = None
            self._resumed.set()

    def shut(self, code: CloseCode, reason: str) -> None:
        """See Peer."""
        pending, self.pending = self.pending, None
        self._frames.extend(pending or ())
        self._close = self._close or (code, reason)
        self._resumed.set()
        self._taken.set()
        self._moved.set()

    def abort(self) -> None:
        """See Peer."""
        self._frames.clear()
        self._close = self._close or (CloseCode.INTERNAL, "aborted")
        self._moved.set()


class SessionService:
    """EdgeService."""

    def __init__(self, sessions: Sessions, outbox: Outbox) -> None:
        self._sessions = sessions
        self._outbox = outbox

    async def Session(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:  # noqa: N802 — gRPC's name
        """One connection. Ends with the status of its close code. Raises TooManyConnections, RateLimited."""
        address = _address(context)
        refusal = self._sessions.admission.refuse_handshake(address)
        if refusal is not None:
            raise refusal
        peer = StreamPeer(self._sessions.new_connection(), self._outbox, self._sessions, address)
        self._sessions.connected(peer)
        reader = asyncio.create_task(peer.read(requests))
        reader.add_done_callback(lambda task: _ended(peer, task))
        try:
            async for frame in peer.frames():
                yield frame
        finally:
            reader.cancel()
            code = peer.closed_with[0] if peer.closed_with is not None else CANCELLED
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


def edge_services(sessions: Sessions, outbox: Outbox, gateway: Gateway) -> list[GrpcService]:
    """EdgeService and all public services, for `serve_grpc`."""
    own = edge_service_pb2.DESCRIPTOR.services_by_name["EdgeService"]
    found = [GrpcService(own, _add_session, SessionService(sessions, outbox), {"Session": Access.PUBLIC})]
    for _, service in services():
        access = {method.name: Access.PUBLIC for method in service.methods}
        found.append(GrpcService(service, _adder(service), gateway, access))
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
