"""I4, I5: what each client saw of each room against the log and the memberships."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

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
            last.setdefault(view, record)
        if record.kind is Kind.LOST:
            welcomed = {one for one in welcomed if one[0] != record.client}
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
    yield from _complete(last, welcomed, logs, memberships)


def _resumed(last: Record | None, record: Record) -> Iterable[Violation]:
    if last is not None and record.sequence > _end(last):
        text = f"{record.client} resumed at {record.sequence}, past what it had seen"
        yield Violation("I4", text, (last, record))


def _next(last: Record | None, record: Record, memberships: Memberships) -> Iterable[Violation]:
    if last is None:
        yield from _begun(record, memberships)
    elif record.sequence == _end(last) + 1:
        return
    elif record.sequence <= _end(last):
        text = f"room {record.room} reached {record.client} twice or backwards"
        yield Violation("I4", text, (last, record))
    elif _passes_over(last, record, memberships):
        yield Violation("I4", f"room {record.room} reached {record.client} with a hole", (last, record))


def _begun(record: Record, memberships: Memberships) -> Iterable[Violation]:
    """A view begins with a coming, or after what its connection was told of or asked for."""
    inside = any(first < record.sequence <= _last(end) for first, end in _stretches(record, memberships))
    if inside and record.kind is Kind.RECEIVE:
        text = f"what {record.client} is shown of room {record.room} begins at {record.sequence}"
        yield Violation("I4", f"{text}, and neither its coming nor a welcome was before", (record,))


def _begins(record: Record, memberships: Memberships) -> bool:
    """Whether it is the event of a join: a room that was none of the client's when its connection began
    starts with it, whatever the client has of an earlier time."""
    return any(first == record.sequence for first, _ in _stretches(record, memberships))


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
    stretches = _stretches(record, memberships)
    return any(first < record.sequence and _end(last) < _last(end) for first, end in stretches)


def _as_stored(record: Record, stored: Stored | None) -> Iterable[Violation]:
    """All of the event is what the log holds, as far as it was noted."""
    same = stored is not None and (
        stored.message_id == record.message_id
        and record.body in (None, stored.body)
        and record.shown in (None, stored)
    )
    if not same:
        shown = (record,) if stored is None else (record, stored)
        yield Violation("I4", f"{record.client} saw what the log does not hold there", shown)


def _allowed(record: Record, memberships: Memberships) -> Iterable[Violation]:
    stretches = _stretches(record, memberships)
    if not any(first <= record.sequence <= _last(end) for first, end in stretches):
        yield Violation("I5", f"{record.client} saw an event of a time it was no member", (record,))


def _rightly_skipped(record: Record, memberships: Memberships) -> Iterable[Violation]:
    """What is skipped lies outside every membership."""
    for first, end in _stretches(record, memberships):
        if first <= record.to_sequence and record.sequence <= _last(end):
            yield Violation("I4", f"{record.client} was refused events of a time it was a member", (record,))


def _complete(
    last: Mapping[View, Record], welcomed: Set[View], logs: Logs, memberships: Memberships
) -> Iterable[Violation]:
    """Up to the head for a member; up to the leave for who was connected then. Who was removed while away
    has no right to the rest any more."""
    for (client, room), record in last.items():
        log = logs.get(room, ())
        stretches = _stretches(record, memberships)
        if not log or not stretches:
            continue
        left = stretches[-1][1]
        if left is not None and (client, room) not in welcomed:
            continue
        end, what = (log[-1].sequence, "the log") if left is None else (left, "the membership")
        if _end(record) < end:
            yield Violation("I4", f"the view of {client} ends at {_end(record)}, {what} at {end}", (record,))


def _stretches(record: Record, memberships: Memberships) -> Sequence[tuple[int, int | None]]:
    return memberships.get((record.room, record.user), ())


def _last(end: int | None) -> float:
    return float("inf") if end is None else end


def _end(record: Record) -> int:
    return record.to_sequence if record.kind in (Kind.SKIP, Kind.STATE) else record.sequence
