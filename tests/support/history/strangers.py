"""I5 for frames that are no events: each of them names a room, and says something of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from tests.support.history.receipts import of_this_log
from tests.support.history.records import Kind, Logs, Memberships, Record, Violation

HEADS = (Kind.STATE, Kind.LISTED, Kind.GAP)
"""They name the head of a room, at which the user must be a member."""
TELLING = (*HEADS, Kind.SKIP, Kind.RECEIPT, Kind.TYPING)


def check_strangers(history: Sequence[Record], logs: Logs, memberships: Memberships) -> Iterable[Violation]:
    """Nobody is told anything of a room before they can have come into it, nor of what came after they left.

    `history` in the order of time. Rooms without a log are not judged.
    """
    times = _earliest(history, logs)
    for record in of_this_log(history):
        if record.kind not in TELLING or record.room not in logs:
            continue
        named = record.sequence if record.kind is Kind.RECEIPT else record.to_sequence
        stretches = memberships.get((record.room, record.user), ())
        if not any(_tells(record, named, stretch, times[record.room]) for stretch in stretches):
            text = f"{record.client} got {record.kind.name} of room {record.room} and was no member"
            yield Violation("I5", text, (record,))


def _tells(record: Record, named: int, stretch: tuple[int, int | None], times: Sequence[float]) -> bool:
    """Whether this membership is one to be told so."""
    first, last = stretch
    begun = first > len(times) or times[first - 1] <= record.time
    return begun and (last is None or named <= last) and (record.kind not in HEADS or first <= named)


def _earliest(history: Iterable[Record], logs: Logs) -> Mapping[int, Sequence[float]]:
    """Room → for each of its events the time before which it cannot have been stored: everything up to it
    had been begun to be sent."""
    begun: dict[tuple[int, str], float] = {}
    for record in history:
        if record.kind is Kind.INVOKE:
            begun.setdefault((record.room, record.request_id), record.time)
    return {
        room: list(accumulate((begun.get((room, event.request_id), 0.0) for event in log), max))
        for room, log in logs.items()
    }
