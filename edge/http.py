"""HTTP on the WebSocket's port: h11 parses, `routes` answers, and `GET /ws` is handed over.

A connection does one request at a time; what a client pipelines waits in the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, cast

import h11

from edge.static import SECURITY_HEADERS

MAX_BODY_BYTES = 1024 * 1024
MAX_HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 10.0
"""For the request line and headers, and between requests."""
BODY_SECONDS = 30.0


CROWDED = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)
"""To who has too many connections, before anything is read."""


@dataclass(slots=True)
class HttpRequest:
    """One request, read whole."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    """Names in lower case; a repeated header is joined with a comma (RFC 9110 section 5.3)."""
    address: str
    body: bytes = b""


@dataclass(slots=True)
class HttpResponse:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Sequence[tuple[str, str]] = field(default=())


@dataclass(slots=True)
class Upgrade:
    """An answer that takes the connection over: what to write first, and who goes on."""

    response: bytes
    protocol: asyncio.Protocol | None
    """None: the answer is a refusal and the connection ends."""


Answer = Callable[[HttpRequest], Awaitable[HttpResponse]]
Handshake = Callable[[HttpRequest, list[tuple[str, str]]], Upgrade]


class Gate(Protocol):
    """How many connections there may be, from where."""

    def enter(self, address: str) -> bool:
        """One more comes; False: it may not."""
        ...

    def leave(self, address: str) -> None:
        """One that may was here; it ends or is upgraded."""
        ...


class HttpServer:
    """What the HTTP connections of a process share."""

    def __init__(
        self,
        answer: Answer,
        handshake: Handshake,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
        *,
        socket_path: str = "/ws",
        gate: Gate | None = None,
    ) -> None:
        self.gate = gate
        self.answer = answer
        self.handshake = handshake
        self.tasks = tasks
        self.clock = clock
        self.socket_path = socket_path
        """Requests for it are handed to `handshake`."""
        self.connections: set[HttpConnection] = set()
        """Those that are not upgraded."""

    def protocol(self) -> HttpConnection:
        """For loop.create_server."""
        return HttpConnection(self)

    def sweep(self) -> None:
        """Cuts connections whose request does not come."""
        now = self.clock()
        for connection in tuple(self.connections):
            connection.sweep(now)

    def close(self) -> None:
        """Cuts all connections that are not answering."""
        for connection in tuple(self.connections):
            connection.sweep(float("inf"))


class HttpConnection(asyncio.Protocol):
    """One client's HTTP/1.1 connection."""

    __slots__ = ("_address", "_body", "_deadline", "_h11", "_request", "_server", "_task", "_transport")

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._address = ""
        self._deadline = server.clock() + HEAD_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        gate = self._server.gate
        if gate is not None and not gate.enter(self._address):
            self._transport.write(CROWDED)
            self._transport.close()
            self._transport = None
            return
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — the loop's signature
        """The client is gone; a call of its that is under way goes on, its answer is dropped."""
        self._transport = None
        self._forget()

    def _forget(self) -> None:
        if self in self._server.connections:
            self._server.connections.discard(self)
            if self._server.gate is not None:
                self._server.gate.leave(self._address)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        if self._transport is None:
            return
        try:
            self._h11.receive_data(data)
            self._advance()
        except h11.RemoteProtocolError as error:
            self._fail(error.error_status_hint, "the request cannot be read\n")

    def eof_received(self) -> bool:
        """The client sends no more; an answer that is under way is still written."""
        return self._task is not None

    def sweep(self, now: float) -> None:
        """Cuts the connection when its request is late."""
        if self._task is None and now > self._deadline and self._transport is not None:
            self._transport.abort()

    def _advance(self) -> None:
        while self._task is None and self._transport is not None:
            event = self._h11.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                self._let_go_on()
                return
            if isinstance(event, h11.Request):
                self._request = event
                self._deadline = self._server.clock() + BODY_SECONDS
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_BODY_BYTES:
                    self._fail(413, f"a request has at most {MAX_BODY_BYTES} bytes\n")
            elif isinstance(event, h11.EndOfMessage):
                self._dispatch()
            else:
                self._transport.close()
                return

    def _let_go_on(self) -> None:
        """Says 100 to a client that waits for it before it sends the body (RFC 9110 section 10.1.1)."""
        if self._h11.they_are_waiting_for_100_continue and self._transport is not None:
            go_on = self._h11.send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
            self._transport.write(go_on or b"")

    def _dispatch(self) -> None:
        assert self._request is not None  # noqa: S101 — h11's order of events
        assert self._transport is not None  # noqa: S101 — _advance looked
        raw = self._request
        target = raw.target.decode("latin-1")
        path, _, query = target.partition("?")
        headers: dict[str, str] = {}
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw.headers]
        for name, value in pairs:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        request = HttpRequest(
            raw.method.decode("latin-1"), path, query, headers, self._address, bytes(self._body)
        )
        self._request, self._body = None, bytearray()
        if path == self._server.socket_path:
            self._hand_over(request, pairs)
            return
        self._transport.pause_reading()
        self._task = self._server.tasks.create_task(self._respond(request))

    def _hand_over(self, request: HttpRequest, pairs: list[tuple[str, str]]) -> None:
        transport = self._transport
        assert transport is not None  # noqa: S101 — see _dispatch
        upgrade = self._server.handshake(request, pairs)
        transport.write(upgrade.response)
        self._transport = None
        self._forget()
        if upgrade.protocol is None:
            transport.close()
            return
        rest, _ = self._h11.trailing_data
        transport.set_protocol(upgrade.protocol)
        upgrade.protocol.connection_made(transport)
        if rest:
            upgrade.protocol.data_received(rest)

    async def _respond(self, request: HttpRequest) -> None:
        response = await self._server.answer(request)
        self._task = None
        if self._transport is None:
            return
        self._write(response, with_body=request.method != "HEAD")
        if self._h11.our_state is h11.MUST_CLOSE or self._h11.their_state is not h11.DONE:
            self._transport.close()
            return
        self._h11.start_next_cycle()
        self._deadline = self._server.clock() + HEAD_SECONDS
        self._transport.resume_reading()
        self.data_received_again()

    def data_received_again(self) -> None:
        """Goes on with what was read while the last request was answered."""
        try:
            self._advance()
        except h11.RemoteProtocolError as error:
            self._fail(error.error_status_hint, "the request cannot be read\n")

    def _write(self, response: HttpResponse, *, with_body: bool = True) -> None:
        assert self._transport is not None  # noqa: S101 — callers checked
        headers = [("content-type", response.content_type), *SECURITY_HEADERS, *response.headers]
        if response.status != HTTPStatus.NOT_MODIFIED:
            # A 304 would have to say the length of the 200 (RFC 9110 section 8.6).
            headers.append(("content-length", str(len(response.body))))
        parts = [self._h11.send(h11.Response(status_code=response.status, headers=headers))]
        if with_body and response.body:
            parts.append(self._h11.send(h11.Data(data=response.body)))
        parts.append(self._h11.send(h11.EndOfMessage()))
        self._transport.write(b"".join(part for part in parts if part))

    def _fail(self, status: int, text: str) -> None:
        if self._transport is None:
            return
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._write(HttpResponse(status, text.encode(), headers=(("connection", "close"),)))
        self._transport.close()
        self._transport = None
        self._forget()
