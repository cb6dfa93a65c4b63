"""How often a user may send into a room, or change who is in it: GCRA, one number per user and room."""

from __future__ import annotations

from services.chat.ports import Clock, RoomMember

MAX_KEYS = 200_000
CHANGE_RATE = 1.0
CHANGE_BURST = 60
"""Comings and goings that one user causes in one room: each is an event that every member gets for ever."""


class SendLimit:
    """At most `burst` at once and `rate` a second in the long run, for each (room, user).

    GCRA (ITU-T I.371): the stored number is the time at which the bucket would be full again.
    """

    def __init__(self, clock: Clock, *, rate: float, burst: int) -> None:
        self._clock = clock
        self._full_at: dict[RoomMember, float] = {}
        self.configure(rate=rate, burst=burst)

    def configure(self, *, rate: float, burst: int) -> None:
        """Other limits from now on, with a whole burst for everybody."""
        self._full_at.clear()
        self._interval = 1.0 / rate
        self._tolerance = (burst - 1) * self._interval

    def take(self, key: RoomMember) -> float:
        """0.0 when it is allowed, and then counted; else the seconds to wait."""
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now)
        wait = full_at - self._tolerance - now
        if wait > 0:
            return wait
        self._full_at[key] = full_at + self._interval
        self._tidy(now)
        return 0.0

    def _tidy(self, now: float) -> None:
        oldest = next(iter(self._full_at))
        full_at = self._full_at.pop(oldest)
        if full_at > now and len(self._full_at) < MAX_KEYS:
            self._full_at[oldest] = full_at
