"""The edge's own HTTP and WebSocket classes with an application that sends every message back.

The conformance cases want an echo server and messages of 16 MiB; only the bounds differ from the edge.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.datastructures import Headers
from websockets.frames import Opcode
from websockets.http11 import Request

from chassis.errors import Failure
from edge.bounds import Bounds
from edge.http import HttpRequest, HttpResponse, HttpServer, Upgrade
from edge.listening import listen
from edge.peer import Outbox, Peer
from edge.protocol.connection import Connection
from edge.protocol.framing import binary_frame, text_frame
from edge.server import WebSocketPeer
from edge.websocket import upgrade

MESSAGE_BYTES = 64 * 1024 * 1024
FRAGMENTS = 1_000_000


class EchoPeer(WebSocketPeer):
    """Sends back what it takes, text as text and binary as binary."""

    __slots__ = ()

    def take(self, opcode: Opcode, data: bytes) -> None:
        """See WebSocketPeer."""
        frame = text_frame(data) if opcode is Opcode.TEXT else binary_frame(data)
        self.outbox.put(self, frame)
        self.outbox.flush()


class Nothing:
    """An application that only lets its peers be."""

    def connected(self, peer: Peer) -> None:
        """See Application."""

    def receive(self, peer: Peer, data: bytes) -> None:
        """See Application; an EchoPeer never calls it."""

    def refuse(self, peer: Peer, failure: Failure) -> None:
        """See Application."""

    def drained(self, peer: Peer) -> None:
        """See Application; the bounds are out of reach."""

    def closed(self, peer: Peer, code: int) -> None:
        """See Application."""


@asynccontextmanager
async def echo_edge() -> AsyncIterator[str]:
    """A running echo edge; gives its `host:port`."""
    loop = asyncio.get_running_loop()
    outbox, application = Outbox(loop), Nothing()
    bounds = Bounds(MESSAGE_BYTES, FRAGMENTS, MESSAGE_BYTES, 4 * MESSAGE_BYTES)

    async def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(404)

    def handshake(request: HttpRequest, pairs: list[tuple[str, str]]) -> Upgrade:
        response, protocol = upgrade(Request(request.path, Headers(pairs), request.method), MESSAGE_BYTES)
        if protocol is None:
            return Upgrade(response, None)
        peer = EchoPeer(Connection(1), protocol, application, outbox, bounds, request.address)
        return Upgrade(response, peer)

    async with asyncio.TaskGroup() as tasks:
        http = HttpServer(answer, handshake, tasks, loop.time, socket_path="/")
        sock = await listen("127.0.0.1", 0)
        server = await loop.create_server(http.protocol, sock=sock)
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.close()
