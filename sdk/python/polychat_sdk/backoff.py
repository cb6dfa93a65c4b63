"""How long to wait before connecting again: full jitter, 0.5 s to 30 s, forgotten after a healthy minute."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
HEALTHY_SECONDS = 60.0


class Backoff:
    """Counts failed attempts. `jitter(limit)` gives a number of seconds between 0 and its argument."""

    def __init__(self, jitter: Callable[[float], float] = lambda limit: random.uniform(0, limit)) -> None:  # noqa: S311
        self._jitter = jitter
        self._attempts = 0

    def next(self, told: float | None = None) -> float:
        """Seconds to wait now; what the server told (`goaway`, `retryAfter`) wins."""
        limit = min(LONGEST_SECONDS, FIRST_SECONDS * 2**self._attempts)
        if limit < LONGEST_SECONDS:
            self._attempts += 1
        return told if told is not None else self._jitter(limit)

    def lasted(self, seconds: float) -> None:
        """A connection ended after this long."""
        if seconds >= HEALTHY_SECONDS:
            self._attempts = 0
