"""How much work may wait: about as much as gets done in a second, so that what is let in ends in time.

A queue that only its length bounds is of no use under overload: everything waits until its caller has
given up, comes again, and the process works for nobody (metastable failure). What is over the bound is
refused at once instead, while it costs nothing and nothing has changed.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from chassis.errors import Overloaded

WAIT_SECONDS = 1.0
"""How long what is let in last should wait: far less than the 5 s after which its caller is told
OUTCOME_UNKNOWN, and the 2 s after which it is asked for."""
AT_LEAST = 1_000
"""Allowed however little was done lately: a burst after silence, or what waits for a part to come back."""
REMEMBERED_SECONDS = 5
"""The best of these counts, so that a pause of the broker does not make a slow system of a fast one."""
COME_BACK_SECONDS = (1.0, 3.0)
"""Told to who is refused, at random between these, so that they do not come back together."""


class Backlog:
    """Says whether one more may wait. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], *, most: int) -> None:
        self._clock = clock
        self._most = most
        self._second = int(clock())
        self._done = 0
        self._rates: deque[int] = deque(maxlen=REMEMBERED_SECONDS)

    def done(self) -> None:
        """One piece of work reached its end."""
        self._turn()
        self._done += 1

    @property
    def limit(self) -> int:
        """How many may wait now."""
        self._turn()
        best = max(self._rates, default=0)
        return min(self._most, max(AT_LEAST, int(best * WAIT_SECONDS)))

    def check(self, waiting: int) -> None:
        """Raises Overloaded, with the time to come back, when `waiting` are as many as may."""
        if waiting >= min(AT_LEAST, self._most) and waiting >= self.limit:
            raise Overloaded(retry_after=random.uniform(*COME_BACK_SECONDS))  # noqa: S311 — spreads retries

    def _turn(self) -> None:
        second = int(self._clock())
        if second > self._second:
            self._rates.append(self._done)
            self._rates.extend([0] * min(REMEMBERED_SECONDS, second - self._second - 1))
            self._second, self._done = second, 0
