"""The judge judged: whatever names a room says something of it, and is nothing for strangers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.histories import BERT, CARL, ROOM, good, promises
from tests.support.history import Kind, Record, check

TELLING: dict[Kind, dict[str, Any]] = {
    Kind.RECEIPT: {"sequence": 5, "subject": BERT},
    Kind.TYPING: {"subject": BERT},
    Kind.STATE: {"sequence": 5, "to_sequence": 8, "unread": 3},
    Kind.GAP: {"sequence": 6, "to_sequence": 8},
    Kind.SKIP: {"sequence": 6, "to_sequence": 8},
}
"""What may be told of the room at about its eighth event, which is begun at the time 6."""
kinds = pytest.mark.parametrize("kind", TELLING)


def _found(kind: Kind, stretches: list[tuple[int, int | None]], *, time: float) -> set[str]:
    records, logs, memberships = good()
    if stretches:
        memberships[ROOM, CARL] = stretches
    records.append(Record("carl", CARL, time, kind, ROOM, began=time, **TELLING[kind]))
    found = check(records, logs, memberships)
    assert all(violation.records for violation in found)
    return promises(found) & {"I5"}


@kinds
def test_a_stranger_is_told_nothing(kind: Kind) -> None:
    """Carl was never in the room."""
    assert _found(kind, [], time=6.5) == {"I5"}


@kinds
def test_nobody_is_told_anything_before_the_coming(kind: Kind) -> None:
    """Carl comes with the tenth event, which nobody had begun to send by then."""
    assert _found(kind, [(10, None)], time=6.5) == {"I5"}


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.GAP, Kind.SKIP])
def test_nobody_is_told_of_what_came_after_the_leaving(kind: Kind) -> None:
    """Carl left with the seventh event; who types bears no sequence that would show the same."""
    assert _found(kind, [(1, 7)], time=9.0) == {"I5"}


def test_nobody_is_shown_a_receipt_of_what_came_after_the_leaving() -> None:
    """Bert read the fifth event; Carl left with the fourth."""
    assert _found(Kind.RECEIPT, [(1, 4)], time=9.0) == {"I5"}
    assert _found(Kind.RECEIPT, [(1, 5)], time=9.0) == set()


@kinds
def test_a_member_is_told(kind: Kind) -> None:
    """In the room all the time."""
    assert _found(kind, [(1, None)], time=6.5) == set()


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.GAP])
def test_a_head_is_of_the_time_inside(kind: Kind) -> None:
    """The eighth event lies between Carl's two stretches."""
    assert _found(kind, [(1, 5), (10, None)], time=20.0) == {"I5"}


def test_what_is_skipped_may_lie_before_the_coming() -> None:
    """A range that is not for Carl is told to bring him to where he came."""
    assert _found(Kind.SKIP, [(9, None)], time=20.0) == set()
