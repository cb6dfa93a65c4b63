"""WebSockets on the loop's own transports: `websockets` parses, we write.

Handshake, frames in, control frames and the closing handshake are `ServerProtocol`'s (Sans-I/O).
Frames out are encoded once and written straight to the transport; `pause_writing` tells when a peer
is slow, and from then on they wait here. No task, queue or timer for a connection that is quick.
"""

from __future__ import annotations

import asyncio
import math
import socket
from typing import cast

from websockets.frames import CloseCode as RfcCloseCode
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from edge import kernel
from edge.application import Application
from edge.bounds import Bounds
from edge.peer import Outbox, Peer
from edge.protocol.codes import CloseCode
from edge.protocol.connection import Connection
from edge.protocol.errors import FrameInvalid
from edge.protocol.events import Wire
from edge.waiting import Waiting
from edge.websocket import SUBPROTOCOLS, EdgeProtocol

NO_CLOSE_FRAME = 1006


class WebSocketPeer(Peer, asyncio.Protocol):
    """One WebSocket."""

    __slots__ = (
        "_added",
        "_application",
        "_bounds",
        "_fragments",
        "_protocol",
        "_reading",
        "_transport",
        "_waiter",
        "_waiting",
    )

    def __init__(
        self,
        connection: Connection,
        protocol: EdgeProtocol,
        application: Application,
        outbox: Outbox,
        bounds: Bounds,
        address: str,
    ) -> None:
        super().__init__(connection, SUBPROTOCOLS.get(protocol.subprotocol or "", Wire.JSON), outbox, address)
        self._protocol = protocol
        self._application = application
        self._bounds = bounds
        self._transport: asyncio.Transport | None = None
        self._fragments: list[bytes] | None = None
        self._reading = True
        self._waiter: asyncio.Future[None] | None = None
        self._waiting: Waiting | None = None
        """While it is slow: what the transport is given when it has little left."""
        self._added = 0

    # ---- transport ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by whoever did the handshake."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._bounds.slow_bytes)
        self._application.connected(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        protocol = self._protocol
        said_all = protocol.close_sent is not None
        protocol.receive_data(data)
        self._write_protocol(said_all=said_all)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        if protocol.state is not State.OPEN:
            self._write_protocol()

    def eof_received(self) -> bool:
        """The peer's end of the stream."""
        self._protocol.receive_eof()
        self._write_protocol()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — the loop's signature
        """The transport is gone."""
        self._transport = None
        self._be_quick()
        self._protocol.let_go()
        sent, received = self._protocol.close_sent, self._protocol.close_rcvd
        first = sent if sent is not None and not self._protocol.close_rcvd_then_sent else received
        self._application.closed(self, first.code if first is not None else NO_CLOSE_FRAME)

    def pause_writing(self) -> None:
        """The peer takes less than it is sent, or than it was fed of what waits."""
        if self._waiting is None and self._transport is not None:
            self._added = 0
            self._bounds.slow[self] = (None, 0.0)
            self._waiting = Waiting()
            self._transport.set_write_buffer_limits(self._bounds.ease_bytes, self._bounds.ease_bytes)
        self._weigh()

    def resume_writing(self) -> None:
        """The peer took most of what the transport had: it is fed, or has caught up."""
        transport, waiting = self._transport, self._waiting
        if transport is not None and waiting is not None:
            waiting.feed(transport, self._bounds.ease_bytes)
            if self.unsent > self._bounds.ease_bytes:
                return
            transport.set_write_buffer_limits(self._bounds.slow_bytes)
        self._be_quick()
        if self.connection.clogged:
            self.connection.clogged = False
            self.outbox.later(self.resume_reading)
        self._application.drained(self)

    # ---- in ---------------------------------------------------------------------------------------

    def _frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if frame.fin:
                self._message(opcode, bytes(frame.data))
            else:
                self._fragments = [bytes((opcode,)), bytes(frame.data)]
        elif opcode is Opcode.CONT and self._fragments is not None:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                first, *rest = self._fragments
                self._fragments = None
                self._message(Opcode(first[0]), b"".join(rest))
            elif len(self._fragments) > self._bounds.fragments:
                self._fragments = None
                self._application.refuse(self, FrameInvalid("too many fragments"))

    def _message(self, opcode: Opcode, data: bytes) -> None:
        if opcode is Opcode.TEXT:
            try:
                data.decode()
            except UnicodeDecodeError as error:
                self._protocol.fail(RfcCloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
                return
        self.take(opcode, data)

    def take(self, opcode: Opcode, data: bytes) -> None:
        """A whole message came in; text is UTF-8."""
        if (opcode is Opcode.TEXT) is (self.wire is Wire.JSON):
            self._application.receive(self, data)
            if self.held is not None and self._reading and self._transport is not None:
                self._reading = False
                self._transport.pause_reading()
        else:
            kind = "text" if opcode is Opcode.TEXT else "binary"
            self._application.refuse(self, FrameInvalid(f"a {kind} message does not belong to this protocol"))

    def resume_reading(self) -> None:
        """See Peer."""
        while self.held and self.connection.readable:
            self._application.receive(self, self.held.popleft())
        if self.held or not self.connection.readable:
            return
        self.held = None
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    # ---- out --------------------------------------------------------------------------------------

    def transmit(self, chunks: list[bytes]) -> None:
        """See Peer."""
        if self._protocol.state is State.OPEN:
            self._write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _write(self, data: bytes) -> None:
        transport, waiting = self._transport, self._waiting
        if transport is None:
            return
        if waiting is None:
            transport.write(data)
            return
        waiting.put(data)
        if self._protocol.state is not State.OPEN:
            waiting.feed(transport, math.inf)  # the wire ends after this
        self._added += len(data)
        self._weigh()

    def _weigh(self) -> None:
        if self._bounds.over(self):
            self.outbox.overflowed(self)
        if self.connection.clogged and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _write_protocol(self, *, said_all: bool = False) -> None:
        """Writes what the library has to say; who has sent its close says nothing more, no pongs either."""
        for data in self._protocol.data_to_send():
            if data and not said_all:
                self._write(data)
            elif not data and self._transport is not None:
                self._transport.close()

    def _be_quick(self) -> None:
        self._waiting = None
        self._bounds.forget(self)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    @property
    def slow(self) -> bool:
        """See Peer."""
        return self in self._bounds.slow

    @property
    def unsent(self) -> int:
        """See Peer."""
        waiting = self._waiting.size if self._waiting is not None else 0
        return waiting + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    @property
    def backlog(self) -> int:
        """See Peer."""
        sock = self._socket()
        return self.unsent + (kernel.unacknowledged(sock) if sock is not None else 0)

    @property
    def taken(self) -> int:
        """See Peer."""
        return self._added - self.backlog

    @property
    def taken_in_all(self) -> int:
        """See Peer."""
        sock = self._socket()
        return kernel.acknowledged(sock) if sock is not None else 0

    def _socket(self) -> socket.socket | None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return None
        found: socket.socket | None = transport.get_extra_info("socket")
        return found

    async def drained(self) -> None:
        """See Peer."""
        while self._transport is not None and self.slow:
            if self._waiter is None:
                self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiter)

    def shut(self, code: CloseCode, reason: str) -> None:
        """See Peer."""
        pending, self.pending = self.pending, None
        if self._protocol.state is State.OPEN:
            if pending:
                self._write(b"".join(pending))
            self._protocol.send_close(code, reason[:100])
            self._write_protocol()
            if not self._reading and self._transport is not None:
                self._reading = True
                self._transport.resume_reading()

    def drop_waiting(self) -> None:
        """See Peer."""
        self.pending = None
        self._be_quick()
        self._bounds.leaving.add(self)

    def abort(self) -> None:
        """See Peer."""
        if self._transport is not None:
            self._transport.abort()
