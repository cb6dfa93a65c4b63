"""Who waits for what: every entry on its way into the log, until its outcome is known.

Outcomes arrive as hints. After two seconds without one message is asked by request id; after five
the waiter is told OUTCOME_UNKNOWN, and may safely send the same again (I2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chassis.backlog import Backlog
from chassis.errors import Failure, OutcomeUnknown
from services.chat.ports import Clock, LogEntry, Outcome, RequestKey

ASK_SECONDS = 2.0
ASK_AGAIN_SECONDS = 1.0
GIVE_UP_SECONDS = 5.0
SWEEP_SECONDS = 0.25
MAX_WAITING = 10_000
LOOKUP_KEYS = 1000
"""As many as one question to message may hold."""

Settle = Callable[["Outcome | Failure"], None]


@dataclass(slots=True)
class _Waiting:
    entry: LogEntry
    settle: Settle
    since: float
    ask_at: float


class Pending:
    """Waiting entries by correlation, the oldest first. `first` must differ between two lives of an
    instance, so that outcomes meant for the former one match nothing."""

    def __init__(self, clock: Clock, *, first: int, limit: int = MAX_WAITING) -> None:
        self._clock = clock
        self._backlog = Backlog(clock, most=limit)
        self._next = first
        self._waiting: dict[int, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def next_correlation(self) -> int:
        """A number that was not given before."""
        self._next += 1
        return self._next

    def check_room(self, room_id: int) -> None:
        """Raises Overloaded when one more for this room may not wait: as many do as get done in time."""
        self._backlog.check(room_id)

    def add(self, correlation: int, entry: LogEntry, settle: Settle) -> None:
        """Waits: `settle` is called once, with the outcome or a failure."""
        now = self._clock()
        self._waiting[correlation] = _Waiting(entry, settle, now, now + ASK_SECONDS)
        self._backlog.enter(entry.room_id)

    def discard(self, correlation: int) -> None:
        """Forgets a waiter without calling it."""
        if correlation in self._waiting:
            self._take(correlation)

    def resolve(self, outcome: Outcome) -> None:
        """Hands an outcome to who waits for it; late and foreign ones are ignored."""
        self._backlog.done()
        waiting = self._waiting.get(outcome.correlation)
        if waiting is None or waiting.entry.room_id != outcome.room_id:
            return
        self._take(outcome.correlation).settle(outcome)

    def expire(self) -> int:
        """Tells those who waited too long that the outcome is unknown, and gives their number."""
        limit = self._clock() - GIVE_UP_SECONDS
        late = []
        for correlation, waiting in self._waiting.items():
            if waiting.since > limit:
                break
            late.append(correlation)
        for correlation in late:
            self._take(correlation).settle(OutcomeUnknown())
        return len(late)

    def to_ask(self) -> Sequence[RequestKey]:
        """Whom to ask message about now, the oldest first; not again within a second."""
        now = self._clock()
        keys: list[RequestKey] = []
        for correlation, waiting in self._waiting.items():
            if waiting.since + ASK_SECONDS > now or len(keys) == LOOKUP_KEYS:
                break
            if waiting.ask_at <= now:
                waiting.ask_at = now + ASK_AGAIN_SECONDS
                keys.append(RequestKey(waiting.entry, correlation))
        return keys

    def _take(self, correlation: int) -> _Waiting:
        waiting = self._waiting.pop(correlation)
        self._backlog.leave(waiting.entry.room_id)
        return waiting
