"""When the next frame on the link may leave: at once while the link is quiet, gathered when it is busy.

A frame costs ~200 µs of CPU a side however full it is, so under load fewer and fuller ones are the
cheapest thing there is; an idle link must not wait for company that does not come.
"""

from __future__ import annotations

QUIET_PER_SECOND = 50.0
BUSY_PER_SECOND = 150.0
GATHER_SECONDS = 0.005
GATHER_LONG_SECONDS = 0.020


class Pacer:
    """Counts what wants to leave, forgetting over about a second. Time comes in as an argument."""

    __slots__ = ("_counted_at", "_demand", "_sent_at")

    def __init__(self) -> None:
        self._demand = 0.0
        self._counted_at = 0.0
        self._sent_at = float("-inf")

    def note(self, now: float) -> None:
        """Something wants to leave."""
        self._decay(now)
        self._demand += 1.0

    def sent(self, now: float) -> None:
        """A frame left."""
        self._sent_at = now

    def wait(self, now: float) -> float:
        """Seconds until the next frame may leave; 0: now."""
        self._decay(now)
        if self._demand < QUIET_PER_SECOND:
            return 0.0
        gap = GATHER_SECONDS if self._demand < BUSY_PER_SECOND else GATHER_LONG_SECONDS
        return max(0.0, self._sent_at + gap - now)

    def _decay(self, now: float) -> None:
        passed = now - self._counted_at
        self._demand = self._demand * max(0.0, 1.0 - passed) if passed < 1.0 else 0.0
        self._counted_at = now
