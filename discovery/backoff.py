"""Waiting before a retry: exponential, with full jitter, so that processes do not return in step."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Seconds to wait after each failure in a row: evenly random up to a bound that doubles."""

    def __init__(
        self,
        first: float,
        most: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._most = most
        self._uniform = uniform
        self._bound = first

    def next(self) -> float:
        """The wait before the next attempt: between a tenth of the bound and the bound."""
        bound, self._bound = self._bound, min(self._most, self._bound * 2)
        return self._uniform(bound / 10, bound)

    def reset(self) -> None:
        """After a success."""
        self._bound = self._first
