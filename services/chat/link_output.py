"""The way down a link: what is due in one tick leaves as one AttachResponse (hub.Output)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from polychat.internal.link.v1.link_service_pb2 import AttachResponse, ConnectionOpened, SendOutcome
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomHead, RoomSignal

from chassis import logs
from services.chat.pacing import Pace
from services.chat.ports import Clock

MAX_BYTES = 16 * 1024 * 1024
"""Unsent for one edge; an edge that is further behind attaches anew and compares heads."""
ITEM_BYTES = 64
"""What an item costs beside its payload, about."""

log = logs.get("chat")


class LinkOutput:
    """Gathers what is to go to one edge; `frames` gives it, paced by the load."""

    def __init__(
        self,
        chat_instance: str,
        clock: Clock,
        *,
        max_bytes: int = MAX_BYTES,
        cut: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._cut = cut
        self._pace = Pace()
        self._frame = AttachResponse(chat_instance=chat_instance)
        self._bytes = 0
        self._wake = asyncio.Event()
        self._wake.set()
        self._ended = False

    def event(self, event: EventRecord) -> None:
        """See hub.Output."""
        self._frame.events.append(event)
        self._offer(len(event.event) + ITEM_BYTES)

    def signal(self, signal: RoomSignal) -> None:
        """See hub.Output. Signals are the first to be dropped when the edge is slow."""
        if self._bytes < self._max_bytes // 2:
            self._frame.signals.append(signal)
            self._offer(ITEM_BYTES)

    def head(self, room_id: int, head_sequence: int) -> None:
        """See hub.Output."""
        self._frame.heads.append(RoomHead(room_id=room_id, head_sequence=head_sequence))
        self._offer(ITEM_BYTES)

    def revoked(self, session_ids: Sequence[int]) -> None:
        """See hub.Output."""
        self._frame.revoked_session_ids.extend(session_ids)
        self._offer(ITEM_BYTES)

    def drain(self) -> None:
        """See hub.Output."""
        self._frame.draining = True
        self._offer(ITEM_BYTES)

    def opened(self, opened: ConnectionOpened) -> None:
        """Answers that a connection is known, or refused."""
        self._frame.opened.append(opened)
        self._offer(ITEM_BYTES * (1 + len(opened.rooms)))

    def refreshed(self, refreshed: ConnectionOpened) -> None:
        """Answers a new token."""
        self._frame.refreshed.append(refreshed)
        self._offer(ITEM_BYTES)

    def outcome(self, outcome: SendOutcome) -> None:
        """Answers a send."""
        self._frame.outcomes.append(outcome)
        self._offer(ITEM_BYTES)

    def end(self) -> None:
        """See hub.Output. A frame that the edge does not take is cut off."""
        self._ended = True
        self._wake.set()

    async def frames(self) -> AsyncIterator[AttachResponse]:
        """What is due, frame by frame, until the end; the first one names this instance."""
        while True:
            await self._wake.wait()
            if self._ended:
                return
            if wait := self._pace.wait(self._clock()):
                await asyncio.sleep(wait)
            frame, self._frame = self._frame, AttachResponse()
            self._bytes = 0
            self._wake.clear()
            self._pace.sent(self._clock())
            yield frame

    def _offer(self, size: int) -> None:
        if self._ended:
            return
        self._bytes += size
        if self._bytes > self._max_bytes:
            log.warning("link_overflow", bytes=self._bytes)
            self._frame = AttachResponse()
            self.end()
            self._cut()
            return
        self._pace.offered(self._clock())
        self._wake.set()
