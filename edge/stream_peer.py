"""One `EdgeService.Session` stream as a peer: frames wait here until the handler has sent them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from edge.bounds import Bounds
from edge.peer import Outbox, Peer
from edge.protocol.codes import CloseCode
from edge.protocol.connection import Connection
from edge.protocol.events import Wire


class Application(Protocol):
    """What happens on the connection."""

    def receive(self, peer: Peer, data: bytes) -> None:
        """A frame came in."""

    def drained(self, peer: Peer) -> None:
        """The peer was slow and took most of what waited."""


class StreamPeer(Peer):
    """Bounded like a WebSocket: slow, lagging, clogged at the same marks, and at ease below a quarter."""

    __slots__ = (
        "_application",
        "_bounds",
        "_close",
        "_frames",
        "_moved",
        "_resumed",
        "_size",
        "_taken",
        "_total",
        "handler",
    )

    def __init__(
        self, connection: Connection, outbox: Outbox, application: Application, bounds: Bounds, address: str
    ) -> None:
        super().__init__(connection, Wire.STREAM, outbox, address)
        self.handler: asyncio.Task[object] | None = None
        """Sends the frames; ended when the peer is cut, even while it waits for the peer to take one."""
        self._application = application
        self._bounds = bounds
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._total = 0
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
        if self._size > self._bounds.slow_bytes:
            if not self.slow:
                self._bounds.slow[self] = (None, 0.0)
            if self._bounds.over(self):
                self.outbox.overflowed(self)

    async def frames(self) -> AsyncIterator[bytes]:
        """What is to be sent, until the connection closes."""
        while True:
            while self._frames:
                yield self._next()
            if self._close is not None:
                return
            self._moved.clear()
            await self._moved.wait()

    def _next(self) -> bytes:
        frame = self._frames.popleft()
        self._size -= len(frame)
        self._total += len(frame)
        if self.slow and self._size <= self._bounds.ease_bytes:
            del self._bounds.slow[self]
            self._at_ease()
        return frame

    def _at_ease(self) -> None:
        if self.connection.clogged:
            self.connection.clogged = False
            self.outbox.later(self.resume_reading)
        self._taken.set()
        self._application.drained(self)

    async def read(self, requests: AsyncIterator[bytes]) -> None:
        """Takes the client's frames in, one by one, as fast as the connection allows."""
        async for data in requests:
            self._application.receive(self, data)
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
        return self in self._bounds.slow

    @property
    def unsent(self) -> int:
        """See Peer."""
        return self._size

    @property
    def taken(self) -> int:
        """See Peer."""
        return self._total

    @property
    def taken_in_all(self) -> int:
        """See Peer."""
        return self._total

    async def drained(self) -> None:
        """See Peer."""
        while self.slow and self._close is None:
            self._taken.clear()
            await self._taken.wait()

    def resume_reading(self) -> None:
        """See Peer."""
        while self.held and self.connection.readable:
            self._application.receive(self, self.held.popleft())
        if not self.held and self.connection.readable:
            self.held = None
            self._resumed.set()

    def shut(self, code: CloseCode, reason: str) -> None:
        """See Peer."""
        pending, self.pending = self.pending, None
        self._frames.extend(pending or ())
        self._end(code, reason)

    def drop_waiting(self) -> None:
        """See Peer."""
        self.pending = None
        self._frames.clear()
        self._size = 0
        self._bounds.slow.pop(self, None)
        self._taken.set()

    def abort(self) -> None:
        """See Peer."""
        self.drop_waiting()
        self._end(CloseCode.INTERNAL, "aborted")
        if self.handler is not None:
            self.handler.cancel()

    def _end(self, code: CloseCode, reason: str) -> None:
        self._close = self._close or (code, reason)
        self._bounds.slow.pop(self, None)
        self._resumed.set()
        self._taken.set()
        self._moved.set()
