"""I6: counts equal a recount; receipts are where their users put them, never back, never past the head."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.support.history.records import Kind, Logs, Memberships, Record, Violation

COUNTS = (Kind.STATE, Kind.LISTED)
KNOWING = (*COUNTS, Kind.OK, Kind.RECEIVE, Kind.SKIP, Kind.GAP, Kind.RECEIPT)
"""They name a sequence that a room has."""
Reader = tuple[int, int]
"""A room and a user."""


class Highest:
    """The highest of what became known, as it was at any time."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._best: list[tuple[int, Record]] = []

    def add(self, value: int, record: Record) -> None:
        """`record` made it known, later than everything before it."""
        if not self._best or value > self._best[-1][0]:
            self._times.append(record.time)
            self._best.append((value, record))

    def before(self, time: float) -> tuple[int, Record] | None:
        """None: nothing was known by then."""
        place = bisect_left(self._times, time)
        return self._best[place - 1] if place else None


def check_receipts(history: Sequence[Record], logs: Logs, memberships: Memberships) -> Iterable[Violation]:
    """`history` in the order of time."""
    kept = [record for record in of_this_log(history) if record.room in logs]
    messages = {room: [e.sequence for e in log if e.message_id] for room, log in logs.items()}
    for record in kept:
        if record.kind in COUNTS:
            yield from _counted(record, messages[record.room])
            yield from _stored_so_far(record, len(logs[record.room]))
        if record.kind is Kind.DENIED:
            yield from _rightly_denied(record, memberships)
    yield from _never_backwards(kept)
    yield from _heads_never_backwards(kept)
    yield from _set_by_somebody(history, kept, logs, memberships)
    yield from _shown_forwards(history, {room: len(log) for room, log in logs.items()}, memberships)


def of_this_log(history: Iterable[Record]) -> list[Record]:
    """Without what was noted before a view of the same room was reset: that is of another log."""
    history = list(history)
    resets = {record.room: record.time for record in history if record.kind is Kind.RESET}
    return [r for r in history if (r.began or r.time) >= resets.get(r.room, 0.0)]


def _counted(record: Record, messages: Sequence[int]) -> Iterable[Violation]:
    read, head = record.sequence, record.to_sequence
    if read > head:
        text = f"{record.client} has read {read} of room {record.room}, whose head is {head}"
        yield Violation("I6", text, (record,))
    unread = bisect_right(messages, head) - bisect_right(messages, read)
    if unread != record.unread:
        text = f"{record.client} has {record.unread} unread in room {record.room}, recounted {unread}"
        yield Violation("I6", text, (record,))


def _stored_so_far(record: Record, end: int) -> Iterable[Violation]:
    if record.to_sequence > end:
        text = f"{record.client} was told that the head of room {record.room} is {record.to_sequence}"
        yield Violation("I6", f"{text}; its log ends at {end}", (record,))


def _rightly_denied(record: Record, memberships: Memberships) -> Iterable[Violation]:
    """Only who left may be told so; what a client says that it has read it was shown."""
    stretches = memberships.get((record.room, record.user), ())
    stays = len(stretches) == 1 and stretches[0][1] is None
    if stays or record.body != "NOT_A_MEMBER":
        text = f"{record.client} may not say what it has read of room {record.room}: {record.body}"
        yield Violation("I6", text, (record,))


def _never_backwards(history: Iterable[Record]) -> Iterable[Violation]:
    """Whatever was answered before a count was asked for is the least that it may say: an accepted receipt,
    a message of one's own, another count."""
    known: dict[Reader, Highest] = defaultdict(Highest)
    for record in history:
        if record.kind not in (Kind.READ, Kind.OK, *COUNTS):
            continue
        highest = known[record.room, record.user]
        least = highest.before(record.began)
        if record.kind in COUNTS and least is not None and least[0] > record.sequence:
            text = f"the receipt of {record.client} in room {record.room} went backwards"
            yield Violation("I6", text, (least[1], record))
        highest.add(record.sequence, record)


def _heads_never_backwards(history: Iterable[Record]) -> Iterable[Violation]:
    """The head of a count is no lower than what any client knew of the room before it was asked for."""
    known: dict[int, Highest] = defaultdict(Highest)
    for record in history:
        if record.kind not in KNOWING:
            continue
        highest = known[record.room]
        least = highest.before(record.began)
        if record.kind in COUNTS and least is not None and least[0] > record.to_sequence:
            text = f"the head of room {record.room} was told to {record.client} as {record.to_sequence}"
            yield Violation("I6", f"{text}, after it was known to be {least[0]}", (least[1], record))
        highest.add(max(record.sequence, record.to_sequence), record)


def _set_by_somebody(
    history: Iterable[Record], kept: Iterable[Record], logs: Logs, memberships: Memberships
) -> Iterable[Violation]:
    """A receipt is where its user said before, at a message of theirs, or where they came in."""
    said: dict[tuple[Reader, int], float] = {}
    for record in history:
        if record.kind is Kind.READING:
            said.setdefault(((record.room, record.user), record.sequence), record.time)
    places = _own_places(logs, memberships)
    for record in kept:
        shown = record.kind is Kind.RECEIPT
        if not shown and record.kind not in COUNTS:
            continue
        reader = (record.room, record.subject if shown else record.user)
        when = said.get((reader, record.sequence), record.time)
        if record.sequence in places[reader] or when < record.time:
            continue
        if shown:
            text = f"{record.client} was shown that user {record.subject} has read up to {record.sequence}"
            yield Violation("I6", f"{text} of room {record.room}, which nobody said", (record,))
        else:
            text = f"the receipt of {record.client} in room {record.room} is at {record.sequence}"
            yield Violation("I6", f"{text}, where nobody put it", (record,))


def _own_places(logs: Logs, memberships: Memberships) -> Mapping[Reader, set[int]]:
    """Where a user's receipt is put without a word: their messages, and their comings."""
    places: dict[Reader, set[int]] = defaultdict(set)
    for room, log in logs.items():
        for event in log:
            if event.sender:
                places[room, event.sender].add(event.sequence)
    for reader, stretches in memberships.items():
        places[reader].update(first for first, _ in stretches)
    return places


def _shown_forwards(
    history: Iterable[Record], heads: Mapping[int, int], memberships: Memberships
) -> Iterable[Violation]:
    """For as long as the client stays in the room; who comes again begins anew."""
    comings = {(*reader, first) for reader, stretches in memberships.items() for first, _ in stretches}
    shown: dict[tuple[str, int], dict[int, Record]] = defaultdict(dict)
    for record in history:
        view = shown[record.client, record.room]
        came = record.kind is Kind.RECEIVE and (record.room, record.user, record.sequence) in comings
        if came or record.kind is Kind.RESET:
            view.clear()
        if record.kind is not Kind.RECEIPT:
            continue
        before = view.get(record.subject)
        if before is not None and before.sequence > record.sequence:
            text = f"{record.client} was shown the receipt of user {record.subject} going backwards"
            yield Violation("I6", text, (before, record))
        if record.sequence > heads.get(record.room, record.sequence):
            text = f"{record.client} was shown a receipt past the head of room {record.room}"
            yield Violation("I6", text, (record,))
        view[record.subject] = record
