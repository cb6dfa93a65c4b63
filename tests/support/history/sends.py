"""I1, I2, I3: what was sent against what is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.support.history.order import Places, check_order
from tests.support.history.records import Kind, Logs, Record, Stored, Violation

Requests = Mapping[tuple[int, str], Sequence[Stored]]
"""(room, request id) → the events stored for it."""


def check_sends(history: Sequence[Record], logs: Logs) -> Iterable[Violation]:
    """`history` in the order of time."""
    stored: dict[tuple[int, str], list[Stored]] = defaultdict(list)
    for room, log in logs.items():
        for event in log:
            if event.request_id:
                stored[room, event.request_id].append(event)
    yield from _at_most_once(stored)
    yield from _as_answered(history, stored)
    yield from _as_invoked(history, stored)
    places = {key: events[0].sequence for key, events in stored.items()}
    yield from _after_what_was_answered(history, places)
    yield from check_order(history, places)


def _at_most_once(stored: Requests) -> Iterable[Violation]:
    for (room, request_id), events in stored.items():
        if len(events) > 1:
            text = f"request {request_id} is {len(events)} times in room {room}"
            yield Violation("I2", text, tuple(events))


def _as_answered(history: Sequence[Record], stored: Requests) -> Iterable[Violation]:
    """What was answered is stored where it was said; nothing refused is.

    A refusal speaks of the last attempt: when an earlier one had no answer, that one may be stored.
    """
    unknown: set[tuple[int, str]] = set()
    for record in history:
        key = (record.room, record.request_id)
        found = stored.get(key, ())
        if record.kind is Kind.UNKNOWN:
            unknown.add(key)
        if record.kind is Kind.OK:
            yield from _kept(record, found)
        if record.kind is Kind.FAIL and found and key not in unknown:
            text = f"request {record.request_id} was refused and is stored"
            yield Violation("I2", text, (record, found[0]))


def _kept(answer: Record, found: Sequence[Stored]) -> Iterable[Violation]:
    if not found:
        yield Violation("I1", f"request {answer.request_id} was answered `sent` and is lost", (answer,))
        return
    said = (answer.sequence, answer.message_id or found[0].message_id)
    if said != (found[0].sequence, found[0].message_id):
        text = f"request {answer.request_id} was answered with {answer.sequence}"
        yield Violation("I2", f"{text} and stored at {found[0].sequence}", (answer, found[0]))


def _as_invoked(history: Sequence[Record], stored: Requests) -> Iterable[Violation]:
    """What is stored has the body and the sender that it was sent with."""
    for record in history:
        if record.kind is not Kind.INVOKE:
            continue
        for event in stored.get((record.room, record.request_id), ()):
            if record.body not in (None, event.body):
                text = f"request {record.request_id} is stored with another body"
                yield Violation("I1", text, (record, event))
            if event.sender not in (0, record.user):
                text = f"request {record.request_id} is stored as somebody else's"
                yield Violation("I2", text, (record, event))


def _after_what_was_answered(history: Sequence[Record], places: Places) -> Iterable[Violation]:
    """Answered before begun means a lower sequence, whoever sent the two."""
    answered: dict[int, Record] = {}
    for record in history:
        if record.kind is Kind.OK:
            best = answered.get(record.room)
            if best is None or best.sequence < record.sequence:
                answered[record.room] = record
        place = places.get((record.room, record.request_id))
        if record.kind is not Kind.INVOKE or place is None:
            continue
        before = answered.get(record.room)
        if before is not None and before.request_id != record.request_id and before.sequence > place:
            text = f"{record.request_id} began after {before.request_id} was answered and stands before it"
            yield Violation("I3", text, (before, record))
