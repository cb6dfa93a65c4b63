"""What Consul stores of a worker id, and which id a process may take. No I/O, no clock.

The reasoning is in docs/decisions/0003-worker-ids.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from discovery.agent import KeyValue

WORKERS: Final = 1024
"""A Snowflake id has 10 bits for its worker."""
PREFIX: Final = "polychat/workers/"
QUARANTINE_MILLIS: Final = 24 * 3600 * 1000
"""An id that was held by another instance rests this long, since its holder may live on without Consul."""
SHORTAGE_MILLIS: Final = 60 * 1000
"""The rest when no other id is left; such a lease is logged as a warning."""
AHEAD_MILLIS: Final = 5_000
"""An id whose last timestamp lies further in the future was held by a clock that was wrong: not taken."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The record of one worker id: who held it last, until when, and the last millisecond it used."""

    instance: str
    held_time: int
    """Unix milliseconds of the holder's last word."""
    last_timestamp: int
    """Unix milliseconds; the holder gave no id of a later one before `held_time`."""
    released: bool
    """The holder gave it up itself, so `last_timestamp` is exact."""

    def encode(self) -> bytes:
        """As it stands in the KV store."""
        names = ("instance", "held_time", "last_timestamp", "released")
        return json.dumps({name: getattr(self, name) for name in names}).encode()


@dataclass(frozen=True, slots=True)
class Choice:
    """A worker id that may be taken, and the record that made it so (None: never held)."""

    worker: int
    seen: KeyValue | None
    slot: Slot | None
    shortage: bool = False


def key_of(worker: int) -> str:
    """The KV key of a worker id."""
    return f"{PREFIX}{worker}"


def decode(value: bytes) -> Slot | None:
    """The record in a KV value; None when it is not one."""
    try:
        fields = json.loads(value)
        slot = Slot(
            str(fields["instance"]),
            int(fields["held_time"]),
            int(fields["last_timestamp"]),
            bool(fields["released"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return slot


def choose(
    keys: Sequence[KeyValue],
    instance: str,
    now: int,
    *,
    previous: int | None,
    pick: Callable[[Sequence[int]], int],
) -> Choice | None:
    """The id to try now, or None when every one is held or rests.

    In this order: the id this process held before, if nobody had it since; an id of the same
    instance name; one never held, `pick`ed at random; the longest unused that has rested; and, in a
    shortage, the longest unused of 60 s. An id with an unreadable record is left alone: its history
    is not known.
    """
    taken = {worker: key for key in keys if (worker := _worker_of(key.key)) is not None}
    slots = {worker: decode(key.value) for worker, key in taken.items() if not key.session}
    if previous is not None and previous not in taken:
        return Choice(previous, None, None)
    free = {
        worker: slot for worker, slot in slots.items() if slot and slot.last_timestamp <= now + AHEAD_MILLIS
    }
    own = [worker for worker, slot in free.items() if slot.instance == instance]
    if own:
        worker = previous if previous in own else max(own, key=lambda worker: free[worker].held_time)
        return Choice(worker, taken[worker], free[worker])
    never = [worker for worker in range(WORKERS) if worker not in taken]
    if never:
        return Choice(pick(never), None, None)
    return _longest_unused(free, taken, now)


def _longest_unused(free: Mapping[int, Slot], taken: Mapping[int, KeyValue], now: int) -> Choice | None:
    worker = min(free, key=lambda worker: free[worker].held_time, default=None)
    if worker is None or now - free[worker].held_time < SHORTAGE_MILLIS:
        return None
    shortage = now - free[worker].held_time < QUARANTINE_MILLIS
    return Choice(worker, taken[worker], free[worker], shortage)


def _worker_of(key: str) -> int | None:
    text = key.removeprefix(PREFIX)
    return int(text) if text.isdecimal() and int(text) < WORKERS else None
