"""A circuit breaker for the calls of one service: behind an open one a call fails at once.

closed → open after a run of failures → half open after a pause: one call goes through as a probe →
closed when it succeeds, else open for twice as long. What counts as a failure is said in calls.py.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from discovery.backoff import Backoff

FAILURES_TO_OPEN: Final = 8
"""In a row. With two instances behind round robin, one dead one never makes such a run."""
OPEN_FIRST_SECONDS: Final = 0.5
OPEN_MOST_SECONDS: Final = 5.0
"""Healing is due within 30 s of the fault's end, so the pause stays well below."""


class State(enum.IntEnum):
    """The values of the `breaker_state` metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """The state machine; no I/O. `changed` is called with every new state."""

    def __init__(
        self,
        clock: Callable[[], float],
        changed: Callable[[State], None] = lambda _state: None,
        backoff: Backoff | None = None,
    ) -> None:
        self.state = State.CLOSED
        self._clock = clock
        self._changed = changed
        self._backoff = backoff or Backoff(OPEN_FIRST_SECONDS, OPEN_MOST_SECONDS)
        self._failures = 0
        self._open_until = 0.0

    def admit(self) -> bool:
        """Whether a call may go out now. True from an open breaker makes that call the probe."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN and self._clock() >= self._open_until:
            self._enter(State.HALF_OPEN)
            return True
        return False

    def succeeded(self) -> None:
        """A call was answered."""
        self._failures = 0
        self._backoff.reset()
        self._enter(State.CLOSED)

    def failed(self) -> None:
        """A call was not answered. While open that changes nothing; while half open it opens again.

        A call that went out before it opened may so end the probe's turn: what it learned is as fresh.
        """
        self._failures += 1
        probe = self.state is State.HALF_OPEN
        if probe or (self.state is State.CLOSED and self._failures >= FAILURES_TO_OPEN):
            self._open_until = self._clock() + self._backoff.next()
            self._enter(State.OPEN)

    def abandoned(self) -> None:
        """A call was given up by its caller: nothing was learned. A probe's place goes to the next call."""
        if self.state is State.HALF_OPEN:
            self._open_until = self._clock()
            self._enter(State.OPEN)

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._changed(state)
