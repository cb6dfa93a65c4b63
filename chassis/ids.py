"""Identifiers: 64-bit Snowflakes for what we name, UUIDs for what callers name."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from chassis.errors import InvalidField

EPOCH_MILLIS = 1_735_689_600_000
"""2025-01-01T00:00:00Z."""
WORKER_BITS = 10
COUNTER_BITS = 12
_COUNTER_MASK = (1 << COUNTER_BITS) - 1


def _now_millis() -> int:
    return time.time_ns() // 1_000_000


class Snowflake:
    """Ids that sort roughly by time: 41 bits of milliseconds, 10 of worker, 12 of counter.

    `worker` gives the leased worker id and raises BackendUnavailable when there is none.
    Ids rise even when the clock steps back; 4,096 a millisecond, then the next is borrowed.
    """

    def __init__(self, worker: Callable[[], int], *, clock: Callable[[], int] = _now_millis) -> None:
        self._worker = worker
        self._clock = clock
        self._last = 0
        self._counter = 0

    def not_before(self, millis: int) -> None:
        """Gives no id of this or an earlier millisecond: a previous holder of the worker id may have."""
        if millis >= self._last:
            self._last, self._counter = millis + 1, 0

    def last_millis(self) -> int:
        """The highest millisecond an id was given for."""
        return self._last

    def next(self) -> int:
        """A new id, greater than every id given before by this object."""
        now = self._clock()
        # Asked after the clock: frozen in between, a process finds its lease gone instead of using it.
        worker = self._worker()
        if now > self._last:
            self._last, self._counter = now, 0
        elif self._counter == _COUNTER_MASK:
            self._last, self._counter = self._last + 1, 0
        else:
            self._counter += 1
        elapsed = self._last - EPOCH_MILLIS
        return elapsed << (WORKER_BITS + COUNTER_BITS) | worker << COUNTER_BITS | self._counter


def uuid_bytes(text: str, field: str = "request_id") -> bytes:
    """The 16 bytes of a UUID in its usual text form. Raises InvalidField."""
    try:
        value = uuid.UUID(text)
    except ValueError as error:
        raise InvalidField(field, "must be a UUID") from error
    if str(value) != text.lower():
        raise InvalidField(field, "must be a UUID in its 8-4-4-4-12 form")
    return value.bytes
