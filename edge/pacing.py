"""How often a frame leaves for chat: at once when it is quiet, gathered when it is busy. No I/O.

A frame costs ~200 µs a side however full it is, so under load fewer and fuller frames are cheaper; a
pace shorter than the gap between messages buys nothing.
"""

from __future__ import annotations

WINDOW_SECONDS = 0.2
"""Load is counted over windows of this length."""
STEPS = ((50.0, 0.0), (150.0, 0.005))
"""Up to so many offers a second, this many seconds from frame to frame."""
BUSY_SECONDS = 0.02
"""From frame to frame above all steps."""


class Pace:
    """Counts offers (things to send) and says when the next frame may leave. Times in seconds."""

    def __init__(self) -> None:
        self._window_start = 0.0
        self._offers = 0
        self._gap = 0.0
        self._last_frame = float("-inf")

    def offered(self, now: float) -> None:
        """Something to send came up."""
        elapsed = now - self._window_start
        if elapsed >= WINDOW_SECONDS:
            self._gap = _gap_for(self._offers / elapsed)
            self._window_start, self._offers = now, 0
        self._offers += 1

    def wait(self, now: float) -> float:
        """Seconds until the next frame may leave; 0.0: now."""
        return max(0.0, self._last_frame + self._gap - now)

    def sent(self, now: float) -> None:
        """A frame left."""
        self._last_frame = now


def _gap_for(rate: float) -> float:
    for limit, gap in STEPS:
        if rate <= limit:
            return gap
    return BUSY_SECONDS
