"""The way down a link: what is due in one tick leaves as one AttachResponse (hub.Output)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from polychat.internal.link.v1.link_service_pb2 import AttachResponse, ConnectionOpened, SendOutcome
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomHead, RoomSignal

from chassis import logs

MAX_BYTES = 16 * 1024 * 1024
"""Unsent for one edge; an edge that is further behind attaches anew and compares heads."""
FRAME_BYTES = 512 * 1024
"""What is due beyond this leaves as a second frame; far below what gRPC takes in one message."""
ITEM_BYTES = 64
"""What an item costs beside its payload, about."""

log = logs.get("chat")


@dataclass(slots=True)
class _Frame:
    message: AttachResponse
    size: int = 0


class LinkOutput:
    """Gathers what is to go to one edge; `frames` gives it.

    At once: what left the edges together stays together through Kafka, the transaction and Redis, so a
    pace on the way down would add its own length to every delivery and gather nothing.
    """

    def __init__(self, chat_instance: str, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._frames = deque([_Frame(AttachResponse(chat_instance=chat_instance))])
        self._bytes = 0
        self._wake = asyncio.Event()
        self._wake.set()
        self._calm = asyncio.Event()
        self._calm.set()
        self.ended = asyncio.Event()
        """Nothing more will be said; a frame that the edge does not take is to be given up."""
        self.overflowed = False

    def event(self, event: EventRecord) -> None:
        """See hub.Output. Never in one frame with an opening before it: the edge takes events first, passes
        over those of rooms that it does not serve yet, and a list is older than what follows it."""
        self._close_opened()
        self._frame(len(event.event) + ITEM_BYTES).events.append(event)

    def signal(self, signal: RoomSignal) -> None:
        """See hub.Output. Signals are the first to be dropped when the edge is slow."""
        if self._bytes < self._max_bytes // 2:
            self._frame(ITEM_BYTES).signals.append(signal)

    def head(self, room_id: int, head_sequence: int) -> None:
        """See hub.Output. Never in one frame with an opening before it: the edge takes heads first, and
        passes over those of rooms that it does not serve yet."""
        self._close_opened()
        self._frame(ITEM_BYTES).heads.append(RoomHead(room_id=room_id, head_sequence=head_sequence))

    def revoked(self, session_ids: Sequence[int]) -> None:
        """See hub.Output."""
        self._frame(ITEM_BYTES).revoked_session_ids.extend(session_ids)

    def drain(self) -> None:
        """See hub.Output."""
        self._frame(ITEM_BYTES).draining = True

    def opened(self, opened: ConnectionOpened) -> None:
        """Answers that a connection is known, or refused."""
        self._frame(ITEM_BYTES + opened.ByteSize()).opened.append(opened)

    def refreshed(self, refreshed: ConnectionOpened) -> None:
        """Answers a new token."""
        self._frame(ITEM_BYTES).refreshed.append(refreshed)

    def outcome(self, outcome: SendOutcome) -> None:
        """Answers a send."""
        self._frame(ITEM_BYTES).outcomes.append(outcome)

    def end(self) -> None:
        """See hub.Output. What was not sent is not sent any more."""
        self.ended.set()
        self._calm.set()
        self._frames.clear()

    async def calm(self) -> None:
        """Returns when little is unsent: who has much to say at once waits for this between its parts."""
        await self._calm.wait()

    async def frames(self) -> AsyncIterator[AttachResponse]:
        """What is due, frame by frame, for ever; the first one names this instance."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for _ in range(len(self._frames)):
                if self._frames:
                    yield self._next()

    def _next(self) -> AttachResponse:
        frame = self._frames.popleft()
        self._bytes -= frame.size
        if self._bytes <= FRAME_BYTES:
            self._calm.set()
        return frame.message

    def _close_opened(self) -> None:
        if self._frames and self._frames[-1].message.opened:
            self._frames.append(_Frame(AttachResponse()))

    def _frame(self, size: int) -> AttachResponse:
        """The frame that an item of this size goes into; one that nobody reads after the end."""
        if self.ended.is_set():
            return AttachResponse()
        if not self._frames or self._frames[-1].size + size > FRAME_BYTES:
            self._frames.append(_Frame(AttachResponse()))
        self._frames[-1].size += size
        self._bytes += size
        self._wake.set()
        if self._bytes > FRAME_BYTES:
            self._calm.clear()
        if self._bytes > self._max_bytes:
            log.warning("link_overflow", bytes=self._bytes)
            self.overflowed = True
            self.end()
            return AttachResponse()
        return self._frames[-1].message
