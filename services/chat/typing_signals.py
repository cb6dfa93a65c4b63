"""Typing: a signal that may be lost, from one member to the others, over Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from polychat.internal.log.v1.record_pb2 import RoomHint, RoomSignal

from chassis.errors import Failure
from chassis.redis import room_channel
from services.chat.hub import Hub
from services.chat.ports import Clock, RoomMember

INTERVAL_SECONDS = 3.0
"""Between two signals of one user in one room; those in between are dropped."""
MAX_WAITING = 1000

Publish = Callable[[Sequence[tuple[str, bytes]]], Awaitable[None]]


class TypingSignals:
    """Takes signals of connected members and publishes them; never blocks, drops when it cannot."""

    def __init__(self, hub: Hub, publish: Publish, clock: Clock) -> None:
        self._hub = hub
        self._publish = publish
        self._clock = clock
        self._last: dict[RoomMember, float] = {}
        self._waiting: list[tuple[str, bytes]] = []
        self._wake = asyncio.Event()

    def pass_on(self, user_id: int, signal: RoomSignal) -> None:
        """Passes a typing signal on, when its user is in the room and has not typed for three seconds."""
        if signal.WhichOneof("body") != "typing" or signal.room_id not in self._hub.rooms_of(user_id):
            return
        key, now = (signal.room_id, user_id), self._clock()
        if signal.typing and now - self._last.get(key, -INTERVAL_SECONDS) < INTERVAL_SECONDS:
            return
        self._last.pop(key, None)
        self._last[key] = now
        self._tidy(now)
        hint = RoomHint(signals=[RoomSignal(room_id=signal.room_id, user_id=user_id, typing=signal.typing)])
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((room_channel(signal.room_id), hint.SerializeToString()))
            self._wake.set()

    async def run(self) -> None:
        """Publishes until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await self._publish(waiting)
            except Failure:
                continue  # a signal may be lost; the next one comes in three seconds

    def _tidy(self, now: float) -> None:
        while self._last:
            oldest = next(iter(self._last))
            if now - self._last[oldest] < INTERVAL_SECONDS:
                return
            del self._last[oldest]
