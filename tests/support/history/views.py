"""I4, I5: what each client saw of each room against the log and the memberships."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.support.history.records import Kind, Logs, Memberships, Record, Stored, Violation

View = tuple[str, int]
"""A client and a room."""
SEEN = (Kind.RECEIVE, Kind.SKIP)


def check_views(history: Sequence[Record], logs: Logs, memberships: Memberships) -> Iterable[Violation]:
    """Each view rises by one, holds what the log holds, stays inside memberships and ends at the head."""
    content = {(room, event.sequence): event for room, log in logs.items() for event in log}
    resets = {(r.client, r.room): r.time for r in history if r.kind is Kind.RESET}
    last: dict[View, Record] = {}
    welcomed: set[View] = set()
    """Rooms that the client's connection was told when it began, or has seen something of."""
    for record in history:
        view = (record.client, record.room)
        if record.kind is Kind.RESET:
            last[view] = record
        if record.kind is Kind.STATE:
            welcomed.add(view)
        if record.kind is Kind.RESUME:
            yield from _resumed(last.get(view), record)
            last[view] = record
            welcomed.discard(view)
        if record.kind in SEEN:
            if view in welcomed or not _begins(record, memberships):
                yield from _next(last.get(view), record, memberships)
            last[view] = record
            welcomed.add(view)
        if record.kind is Kind.GAP:
            yield from _announced(last.get(view), record, memberships)
        if record.kind is Kind.RECEIVE and record.time >= resets.get(view, 0.0):
            yield from _as_stored(record, content.get((record.room, record.sequence)))
        if record.kind is Kind.RECEIVE:
            yield from _allowed(record, memberships)
        if record.kind is Kind.SKIP:
            yield from _rightly_skipped(record, memberships)
    yield from _complete(last, logs, memberships)


def _resumed(last: Record | None, record: Record) -> Iterable[Violation]:
    if last is not None and record.sequence > _end(last):
        text = f"{record.client} resumed at {record.sequence}, past what it had seen"
        yield Violation("I4", text, (last, record))


def _next(last: Record | None, record: Record, memberships: Memberships) -> Iterable[Violation]:
    if last is None or record.sequence == _end(last) + 1:
        return
    if record.sequence <= _end(last):
        text = f"room {record.room} reached {record.client} twice or backwards"
        yield Violation("I4", text, (last, record))
    elif _passes_over(last, record, memberships):
        yield Violation("I4", f"room {record.room} reached {record.client} with a hole", (last, record))


def _begins(record: Record, memberships: Memberships) -> bool:
    """Whether it is the event of a join: a room that was none of the client's when its connection began
    starts with it, whatever the client has of an earlier time."""
    return any(first == record.sequence for first, _ in memberships.get((record.room, record.user), ()))


def _announced(last: Record | None, record: Record, memberships: Memberships) -> Iterable[Violation]:
    """A gap begins where the view ends, so that paging from there misses nothing."""
    if last is None or record.sequence == _end(last) + 1:
        return
    if record.sequence <= _end(last) or _passes_over(last, record, memberships):
        text = f"a gap of room {record.room} begins elsewhere than the view of {record.client} ends"
        yield Violation("I4", text, (last, record))


def _passes_over(last: Record, record: Record, memberships: Memberships) -> bool:
    """Whether the client was a member at any place between the two: who joins later, or again, starts with
    the event of it."""
    stretches = memberships.get((record.room, record.user), ())
    return any(first < record.sequence and _end(last) < _last(end) for first, end in stretches)


def _as_stored(record: Record, stored: Stored | None) -> Iterable[Violation]:
    body = "" if stored is None else stored.body
    if stored is None or stored.message_id != record.message_id or record.body not in ("", body):
        shown = (record,) if stored is None else (record, stored)
        yield Violation("I4", f"{record.client} saw what the log does not hold there", shown)


def _allowed(record: Record, memberships: Memberships) -> Iterable[Violation]:
    intervals = memberships.get((record.room, record.user), ())
    if not any(first <= record.sequence <= _last(end) for first, end in intervals):
        yield Violation("I5", f"{record.client} saw an event of a time it was no member", (record,))


def _rightly_skipped(record: Record, memberships: Memberships) -> Iterable[Violation]:
    """What is skipped lies outside every membership."""
    for first, end in memberships.get((record.room, record.user), ()):
        if first <= record.to_sequence and record.sequence <= _last(end):
            yield Violation("I4", f"{record.client} was refused events of a time it was a member", (record,))


def _complete(last: Mapping[View, Record], logs: Logs, memberships: Memberships) -> Iterable[Violation]:
    for (client, room), record in last.items():
        log = logs.get(room, ())
        intervals = memberships.get((room, record.user), ())
        if not log or not intervals or intervals[-1][1] is not None:
            continue  # who was removed while away has no right to the rest any more
        end = log[-1].sequence
        if _end(record) < end:
            yield Violation("I4", f"the view of {client} ends at {_end(record)}, the log at {end}", (record,))


def _last(end: int | None) -> float:
    return float("inf") if end is None else end


def _end(record: Record) -> int:
    return record.to_sequence if record.kind is Kind.SKIP else record.sequence
