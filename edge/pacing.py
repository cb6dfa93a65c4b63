"""How often a frame leaves for chat: at once when it is quiet, gathered when it is busy. No I/O.

What leaves in one frame is one wake-up of every process and one transaction, which is most of what a
message costs (docs/performance.md). A pace shorter than the gap between messages gathers nothing.
"""

from __future__ import annotations

from collections.abc import Callable

WINDOW_SECONDS = 0.2
"""Load is counted over windows of this length."""
BUSY_RATE = 250.0
"""Offers a second from which on it is busy."""
BUSY_SECONDS = 0.02
"""From frame to frame when it is busy."""


class Pace:
    """Counts offers (things to send) and says when the next frame may leave. Times in seconds."""

    def __init__(self, least: Callable[[], float] = lambda: 0.0) -> None:
        """`least` is from frame to frame whatever the load: cheaper and later."""
        self._least = least
        self._window_start = 0.0
        self._offers = 0
        self._busy = False
        self._last_frame = float("-inf")

    def offered(self, now: float) -> None:
        """Something to send came up."""
        elapsed = now - self._window_start
        if elapsed >= WINDOW_SECONDS:
            self._busy = self._offers > BUSY_RATE * elapsed
            self._window_start, self._offers = now, 0
        self._offers += 1

    def wait(self, now: float) -> float:
        """Seconds until the next frame may leave; 0.0: now."""
        gap = max(self._least(), BUSY_SECONDS if self._busy else 0.0)
        return max(0.0, self._last_frame + gap - now)

    def sent(self, now: float) -> None:
        """A frame left."""
        self._last_frame = now
