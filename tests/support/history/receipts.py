"""I6: unread counts equal a recount, and receipts never go backwards or past the head."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter

from tests.support.history.records import Kind, Logs, Record, Violation


def check_receipts(history: Sequence[Record], logs: Logs) -> Iterable[Violation]:
    """`history` in the order of time. What was noted before a view was reset is of another log."""
    resets: dict[int, float] = {}
    for record in history:
        if record.kind is Kind.RESET:
            resets[record.room] = record.time
    kept = [record for record in history if record.began >= resets.get(record.room, 0.0)]
    messages = {room: [e.sequence for e in log if e.message_id] for room, log in logs.items()}
    for record in kept:
        if record.kind is Kind.STATE:
            yield from _counted(record, messages.get(record.room, []))
    yield from _never_backwards(kept)
    yield from _shown_forwards(history, {room: len(log) for room, log in logs.items()})


def _counted(record: Record, messages: Sequence[int]) -> Iterable[Violation]:
    read, head = record.sequence, record.to_sequence
    if read > head:
        text = f"{record.client} has read {read} of room {record.room}, whose head is {head}"
        yield Violation("I6", text, (record,))
    unread = bisect_right(messages, head) - bisect_right(messages, read)
    if unread != record.unread:
        text = f"{record.client} has {record.unread} unread in room {record.room}, recounted {unread}"
        yield Violation("I6", text, (record,))


def _never_backwards(history: Iterable[Record]) -> Iterable[Violation]:
    """Whatever was answered before a count was asked for is the least that it may say."""
    known: dict[tuple[int, int], list[tuple[float, Record]]] = defaultdict(list)
    for record in history:
        if record.kind not in (Kind.READ, Kind.STATE):
            continue
        answers = known[record.room, record.user]
        before = bisect_left(answers, record.began, key=itemgetter(0))
        highest = answers[before - 1][1] if before else record
        if record.kind is Kind.STATE and highest.sequence > record.sequence:
            text = f"the receipt of {record.client} in room {record.room} went backwards"
            yield Violation("I6", text, (highest, record))
        best = answers[-1][1] if answers else record
        answers.append((record.time, max(best, record, key=attrgetter("sequence"))))


def _shown_forwards(history: Iterable[Record], heads: Mapping[int, int]) -> Iterable[Violation]:
    shown: dict[tuple[str, int, int], Record] = {}
    for record in history:
        if record.kind is Kind.RESET:
            shown = {key: one for key, one in shown.items() if key[:2] != (record.client, record.room)}
        if record.kind is not Kind.RECEIPT:
            continue
        key = (record.client, record.room, record.subject)
        before = shown.get(key)
        if before is not None and before.sequence > record.sequence:
            text = f"{record.client} was shown the receipt of user {record.subject} going backwards"
            yield Violation("I6", text, (before, record))
        if record.sequence > heads.get(record.room, record.sequence):
            text = f"{record.client} was shown a receipt past the head of room {record.room}"
            yield Violation("I6", text, (record,))
        shown[key] = record
