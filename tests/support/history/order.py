"""I3: one client's sends keep their order, also those that are under way together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.history.records import Kind, Record, Violation

Places = Mapping[tuple[int, str], int]
"""(room, request id) → the sequence of its event."""
BEGINNINGS = (Kind.INVOKE, Kind.AGAIN)
ENDS = (Kind.OK, Kind.FAIL, Kind.UNKNOWN, Kind.PUT_OFF)
FAILED = (Kind.FAIL, Kind.UNKNOWN, Kind.PUT_OFF)
NOT_STORED = (Kind.FAIL, Kind.PUT_OFF)


@dataclass(slots=True)
class _Attempt:
    begun: float
    ended: float = math.inf
    end: Kind | None = None


@dataclass(slots=True)
class _Send:
    invoked: Record
    attempts: list[_Attempt] = field(default_factory=list)
    answered: float = math.inf

    def note(self, record: Record) -> None:
        last = self.attempts[-1] if self.attempts else None
        if record.kind in BEGINNINGS:
            self.attempts.append(_Attempt(record.time))
        elif last is None or last.end is not None:  # the beginning was not noted
            begun = last.begun if last else record.time
            self.attempts.append(_Attempt(begun, record.time, record.kind))
        else:
            last.ended, last.end = record.time, record.kind
        if record.kind is Kind.OK:
            self.answered = min(self.answered, record.time)

    def begun_after(self, attempt: _Attempt) -> float:
        """When the attempt after it began."""
        return min((one.begun for one in self.attempts if one.begun >= attempt.ended), default=math.inf)


def check_order(history: Sequence[Record], places: Places) -> Iterable[Violation]:
    """`history` in the order of time. Sends that were answered before another one began are left out here:
    that they stand before it is promised whoever sent the two (sends.py)."""
    under_way: dict[tuple[str, int], list[_Send]] = defaultdict(list)
    for key, send in _sends(history).items():
        if key not in places:
            continue
        invoked = send.invoked
        before = under_way[invoked.client, invoked.room]
        before[:] = [one for one in before if one.answered >= invoked.time]
        for one in before:
            place = places[one.invoked.room, one.invoked.request_id]
            if place > places[key] and not _may_be_overtaken(one, send):
                text = f"two sends of {invoked.client} changed places"
                yield Violation("I3", text, (one.invoked, invoked))
        before.append(send)


def _sends(history: Sequence[Record]) -> Mapping[tuple[int, str], _Send]:
    """In the order in which they were begun."""
    sends: dict[tuple[int, str], _Send] = {}
    for record in history:
        key = (record.room, record.request_id)
        if record.kind is Kind.INVOKE:
            sends[key] = _Send(record)
        if key in sends and record.kind in (*BEGINNINGS, *ENDS):
            sends[key].note(record)
    return sends


def _may_be_overtaken(earlier: _Send, later: _Send) -> bool:
    """Whether an attempt of `earlier` failed before `later` was answered, and an attempt of `later` that may
    have been stored left before `earlier` was sent again.

    An attempt that ended unknown may be stored seconds later, even when the next one was refused; one that
    was put off is not in the log, while those behind it on the same connection may be.
    """
    return any(
        failed.end in FAILED
        and failed.ended < later.answered
        and any(
            overtaking.end not in NOT_STORED and overtaking.begun < earlier.begun_after(failed)
            for overtaking in later.attempts
        )
        for failed in earlier.attempts
    )
