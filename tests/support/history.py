"""Judges what clients saw: the promises I1 to I5 as a pure function over recorded histories.

Each client writes down what it did and what reached it, with monotonic times; afterwards somebody
reads every room's whole log from the store. `check` compares and says every violation in a sentence.
A send that ended `UNKNOWN` may or may not be in the log, but at most once (Jepsen's set-full).
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a record says."""

    INVOKE = "a send begins"
    OK = "it was answered `sent`"
    FAIL = "it was refused: it must never appear"
    UNKNOWN = "nobody knows"
    RESUME = "a connection begins after this sequence"
    RECEIVE = "an event arrived"
    SKIP = "events up to `to_sequence` are not for this client"
    GAP = "too much was missed: the client pages the rest, which it records as received"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a client's history. `time` is monotonic and common to all clients (seconds)."""

    client: str
    user: int
    time: float
    kind: Kind
    room: int
    sequence: int = 0
    to_sequence: int = 0
    request_id: str = ""
    message_id: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """One event of a room's log as the store gives it; `request_id` is empty for what is no message."""

    sequence: int
    request_id: str = ""
    message_id: int = 0
    sender: int = 0


Logs = Mapping[int, Sequence[Stored]]
Memberships = Mapping[tuple[int, int], Sequence[tuple[int, int | None]]]
"""(room, user) → intervals of sequences, both ends included; None: still a member."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise, and the records that show it."""

    promise: str
    text: str
    records: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"{self.promise}: {self.text}" + "".join(f"\n    {record}" for record in self.records)


def check(records: Iterable[Record], logs: Logs, memberships: Memberships) -> list[Violation]:
    """Every violation found; an empty list means that the histories agree with I1 to I5."""
    history = sorted(records, key=lambda record: record.time)
    return [
        *_gapless(logs),
        *_stored_once(history, logs),
        *_in_order(history, logs),
        *_views(history, logs, memberships),
    ]


def _gapless(logs: Logs) -> Iterable[Violation]:
    """I3: a room's sequences are 1, 2, 3 …"""
    for room, log in logs.items():
        for expected, event in enumerate(log, 1):
            if event.sequence != expected:
                yield Violation("I3", f"room {room} has {event.sequence} where {expected} belongs", (event,))
                break


def _stored_once(history: Sequence[Record], logs: Logs) -> Iterable[Violation]:
    """I1, I2: what was answered is stored where it was said; every request at most once; no refused one."""
    stored: dict[tuple[int, str], list[Stored]] = defaultdict(list)
    for room, log in logs.items():
        for event in log:
            if event.request_id:
                stored[room, event.request_id].append(event)
    for (room, request_id), events in stored.items():
        if len(events) > 1:
            yield Violation(
                "I2", f"request {request_id} is {len(events)} times in room {room}", tuple(events)
            )
    for record in history:
        found = stored.get((record.room, record.request_id), [])
        if record.kind is Kind.OK and not found:
            yield Violation("I1", f"request {record.request_id} was answered `sent` and is lost", (record,))
        if record.kind is Kind.OK and found and found[0].sequence != record.sequence:
            text = f"request {record.request_id} was answered with {record.sequence}"
            yield Violation("I2", f"{text} and stored at {found[0].sequence}", (record, found[0]))
        if record.kind is Kind.FAIL and found:
            yield Violation(
                "I2", f"request {record.request_id} was refused and is stored", (record, found[0])
            )


def _in_order(history: Sequence[Record], logs: Logs) -> Iterable[Violation]:
    """I3: answered before begun means a lower sequence; one client's sends keep their order."""
    places = {(room, e.request_id): e.sequence for room, log in logs.items() for e in log if e.request_id}
    answered: dict[int, Record] = {}
    invoked: dict[tuple[str, int], Record] = {}
    for record in history:
        if record.kind is Kind.OK:
            best = answered.get(record.room)
            if best is None or best.sequence < record.sequence:
                answered[record.room] = record
        if record.kind is not Kind.INVOKE:
            continue
        place = places.get((record.room, record.request_id))
        if place is None:
            continue
        before = answered.get(record.room)
        if before is not None and before.request_id != record.request_id and before.sequence > place:
            text = f"{record.request_id} began after {before.request_id} was answered and stands before it"
            yield Violation("I3", text, (before, record))
        previous = invoked.get((record.client, record.room))
        if previous is not None and places[previous.room, previous.request_id] > place:
            yield Violation("I3", f"two sends of {record.client} changed places", (previous, record))
        if previous is None or previous.request_id != record.request_id:
            invoked[record.client, record.room] = record


def _views(history: Sequence[Record], logs: Logs, memberships: Memberships) -> Iterable[Violation]:
    """I4, I5: each view rises by one, holds what the log holds, ends at the head, and stays inside."""
    cursors: dict[tuple[str, int], Record] = {}
    content = {(room, e.sequence): e.message_id for room, log in logs.items() for e in log}
    for record in history:
        key = (record.client, record.room)
        last = cursors.get(key)
        if record.kind is Kind.RESUME:
            if last is not None and record.sequence > _end(last):
                text = f"{record.client} resumed at {record.sequence}, past what it had seen"
                yield Violation("I4", text, (last, record))
            cursors[key] = record
        if record.kind not in (Kind.RECEIVE, Kind.SKIP):
            continue
        if last is not None and record.sequence != _end(last) + 1:
            what = "twice or backwards" if record.sequence <= _end(last) else "with a hole"
            yield Violation("I4", f"room {record.room} reached {record.client} {what}", (last, record))
        cursors[key] = record
        if record.kind is Kind.RECEIVE:
            yield from _received(record, content, memberships)
    yield from _complete(cursors, logs, memberships)


def _received(
    record: Record, content: Mapping[tuple[int, int], int], memberships: Memberships
) -> Iterable[Violation]:
    stored = content.get((record.room, record.sequence))
    if stored is None or stored != record.message_id:
        yield Violation("I4", f"{record.client} saw what the log does not hold there", (record,))
    intervals = memberships.get((record.room, record.user), ())
    if not any(
        first <= record.sequence and (last is None or record.sequence <= last) for first, last in intervals
    ):
        yield Violation("I5", f"{record.client} saw an event of a time it was no member", (record,))


def _complete(
    cursors: Mapping[tuple[str, int], Record], logs: Logs, memberships: Memberships
) -> Iterable[Violation]:
    for (client, room), last in cursors.items():
        log = logs.get(room, ())
        intervals = memberships.get((room, last.user), ())
        if not log or not intervals:
            continue
        end = intervals[-1][1] or log[-1].sequence
        if _end(last) < end:
            yield Violation("I4", f"the view of {client} ends at {_end(last)}, the log at {end}", (last,))


def _end(record: Record) -> int:
    return record.to_sequence if record.kind is Kind.SKIP else record.sequence
