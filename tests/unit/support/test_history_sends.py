"""The judge judged: what was sent against what is stored, in both directions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.histories import ANNA, ROOM, good, promises
from tests.support.history import Kind, Record, Stored, check


@pytest.mark.parametrize("unknown_at", [2.2, 2.6, None], ids=["before", "after", "never"])
def test_a_refusal_is_definite_unless_an_attempt_before_it_was_not(unknown_at: float | None) -> None:
    """Refused at 2.5 and stored: an attempt that ended unknown before that may have been the one."""
    records, logs, memberships = good()
    at = next(i for i, r in enumerate(records) if r.kind is Kind.OK and r.request_id == "r4")
    records[at] = replace(records[at], kind=Kind.FAIL, sequence=0)
    if unknown_at is not None:
        records.append(replace(records[at], kind=Kind.UNKNOWN, time=unknown_at))
    expected = set() if unknown_at == 2.2 else {"I2"}
    assert promises(check(records, logs, memberships)) == expected


def test_a_refusal_after_an_unknown_attempt_of_another_request_is_definite() -> None:
    """r6 ended unknown, which says nothing of r7."""
    records, logs, memberships = good()
    at = next(i for i, r in enumerate(records) if r.kind is Kind.OK and r.request_id == "r7")
    records[at] = replace(records[at], kind=Kind.FAIL, sequence=0)
    assert promises(check(records, logs, memberships)) == {"I2"}


Times = dict[str, list[tuple[Kind, float]]]
BEGUN = {"a": [(Kind.INVOKE, 1.0)], "b": [(Kind.INVOKE, 2.0)], "c": [(Kind.INVOKE, 3.0)]}


def again(end: Kind, time: float) -> list[tuple[Kind, float]]:
    """The first attempt ended so; the second one began half a second later and was answered."""
    return [(end, time), (Kind.AGAIN, time + 0.5), (Kind.OK, time + 2.0)]


@pytest.mark.parametrize(
    ("log", "ends", "swapped"),
    [
        ("bca", {"a": [(Kind.UNKNOWN, 1.5)], "b": [(Kind.OK, 5.0)], "c": [(Kind.OK, 6.0)]}, False),
        ("bca", {"a": [(Kind.UNKNOWN, 4.0)], "b": [(Kind.OK, 5.0)], "c": [(Kind.OK, 6.0)]}, False),
        ("bca", {"a": [(Kind.UNKNOWN, 4.0), (Kind.FAIL, 4.5)], "b": [(Kind.OK, 5.0)]}, False),
        ("bca", {"a": [(Kind.UNKNOWN, 4.0)], "b": [(Kind.UNKNOWN, 4.0)]}, False),
        ("bca", {"a": [(Kind.UNKNOWN, 5.5)], "b": [(Kind.OK, 5.0)]}, True),
        ("bca", {"a": [(Kind.OK, 4.0)], "b": [(Kind.UNKNOWN, 4.0)]}, True),
        ("bca", {"b": [(Kind.UNKNOWN, 4.0)], "c": [(Kind.UNKNOWN, 4.0)]}, True),
        ("cab", {"b": [(Kind.UNKNOWN, 2.5)]}, True),
        ("acb", {"b": [(Kind.UNKNOWN, 2.5)], "c": [(Kind.OK, 6.0)]}, False),
        ("abc", {}, False),
        ("bac", {"a": [(Kind.PUT_OFF, 4.0), (Kind.AGAIN, 4.5)], "b": [(Kind.OK, 4.2)]}, False),
        ("bac", {"a": [(Kind.PUT_OFF, 5.5)], "b": [(Kind.OK, 5.0)]}, True),
        ("bac", {"a": again(Kind.PUT_OFF, 4.0), "b": again(Kind.PUT_OFF, 4.1)}, True),
        ("bac", {"a": again(Kind.UNKNOWN, 4.0), "b": again(Kind.PUT_OFF, 4.1)}, True),
        ("bac", {"a": again(Kind.PUT_OFF, 4.0), "b": again(Kind.UNKNOWN, 4.1)}, False),
        ("bac", {"a": again(Kind.UNKNOWN, 4.0), "b": again(Kind.UNKNOWN, 4.1)}, False),
        ("bca", {"a": again(Kind.UNKNOWN, 1.5), "b": [(Kind.OK, 5.0)], "c": [(Kind.OK, 6.0)]}, True),
        ("cab", {"a": [(Kind.OK, 2.5)], "b": [(Kind.UNKNOWN, 4.0)], "c": [(Kind.OK, 5.0)]}, True),
    ],
    ids=[
        "unknown-when-the-next-began",
        "unknown-when-the-next-was-answered",
        "refused-after-an-unknown-attempt",
        "both-unknown",
        "unknown-after-the-next-was-answered",
        "answered",
        "under-way",
        "around-an-unknown-one",
        "only-the-unknown-one-is-late",
        "in-order",
        "put-off-before-the-next-was-answered",
        "put-off-after-the-next-was-answered",
        "both-put-off-and-sent-again",
        "only-the-other-one-may-be-stored",
        "the-next-ended-unknown",
        "both-unknown-and-sent-again",
        "sent-again-before-the-next-began",
        "answered-before-one-that-may-be-overtaken",
    ],
)
def test_only_a_failed_attempt_lets_a_send_stand_behind_what_its_sender_sent_later(
    log: str, ends: Times, swapped: bool
) -> None:
    """One client begins a, b and c in this order, mostly before any is answered."""
    places = {name: place for place, name in enumerate(log, start=1)}
    records = [
        Record("anna", ANNA, time, kind, ROOM, places[name] if kind is Kind.OK else 0, request_id=name)
        for name, begun in BEGUN.items()
        for kind, time in (*begun, *ends.get(name, ()))
    ]
    stored = [Stored(place, name, 100 + place) for name, place in places.items()]
    assert promises(check(records, {ROOM: stored}, {})) == ({"I3"} if swapped else set())
