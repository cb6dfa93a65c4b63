"""The judge judged: good histories pass, and every kind of bad one is found and named."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.histories import ANNA, BERT, CARL, ROOM, History, Memberships, good, promises, receive
from tests.support.history import Kind, Logs, Record, Stored, check


def test_a_good_history_has_no_violation() -> None:
    """Nothing is found where nothing is wrong, an unknown send included."""
    assert check(*good()) == []


def test_an_unknown_send_may_be_missing() -> None:
    """UNKNOWN means maybe: not stored is as good as stored."""
    records, logs, memberships = good()
    gone = Record("anna", ANNA, 50.0, Kind.INVOKE, ROOM, request_id="never")
    records += [gone, replace(gone, time=51.0, kind=Kind.UNKNOWN)]
    assert check(records, logs, memberships) == []


def lost(records: History, logs: dict[int, list[Stored]], _m: Memberships) -> None:
    logs[ROOM] = [replace(e, request_id="other", message_id=0) if e.sequence == 7 else e for e in logs[ROOM]]


def stored_twice(_r: History, logs: dict[int, list[Stored]], _m: Memberships) -> None:
    logs[ROOM].append(replace(logs[ROOM][5], sequence=11))


def refused_but_stored(records: History, _l: Logs, _m: Memberships) -> None:
    at = next(i for i, r in enumerate(records) if r.kind is Kind.OK)
    records[at] = replace(records[at], kind=Kind.FAIL)


def answered_elsewhere(records: History, _l: Logs, _m: Memberships) -> None:
    at = next(i for i, r in enumerate(records) if r.kind is Kind.OK)
    records[at] = replace(records[at], sequence=records[at].sequence + 1)


def hole_in_the_log(_r: History, logs: dict[int, list[Stored]], _m: Memberships) -> None:
    del logs[ROOM][1]


def overtaken(records: History, logs: dict[int, list[Stored]], _m: Memberships) -> None:
    early = Record("anna", ANNA, 40.0, Kind.INVOKE, ROOM, request_id="late")
    records.append(early)
    records.append(replace(early, time=41.0, kind=Kind.UNKNOWN))
    log = logs[ROOM]
    log[4] = replace(log[4], request_id="late")
    records[:] = [r for r in records if r.request_id != "r5"]


def own_order_swapped(records: History, _l: Logs, _m: Memberships) -> None:
    records[:] = [r for r in records if r.kind not in (Kind.OK, Kind.UNKNOWN)]
    first, second = (
        i for i, r in enumerate(records) if r.kind is Kind.INVOKE and r.request_id in ("r4", "r6")
    )
    records[first], records[second] = (
        replace(records[first], request_id="r6"),
        replace(records[second], request_id="r4"),
    )


def received_twice(records: History, _l: Logs, _m: Memberships) -> None:
    records.append(replace(records[receive(records, "anna", 9)], time=90.0))


def received_swapped(records: History, _l: Logs, _m: Memberships) -> None:
    left, right = receive(records, "anna", 5), receive(records, "anna", 6)
    records[left], records[right] = (
        replace(records[left], time=records[right].time),
        replace(records[right], time=records[left].time),
    )


def received_with_a_hole(records: History, _l: Logs, _m: Memberships) -> None:
    del records[receive(records, "bert", 6)]


def view_ends_early(records: History, _l: Logs, _m: Memberships) -> None:
    del records[receive(records, "anna", 10)]


def received_something_else(records: History, _l: Logs, _m: Memberships) -> None:
    at = receive(records, "anna", 8)
    records[at] = replace(records[at], message_id=999)


def leaked_to_a_stranger(records: History, _l: Logs, _m: Memberships) -> None:
    records.append(replace(records[receive(records, "anna", 8)], client="carl", user=CARL))


def leaked_after_leaving(_r: History, _l: Logs, memberships: Memberships) -> None:
    memberships[ROOM, BERT] = [(2, 7)]


def stored_with_another_body(_r: History, logs: dict[int, list[Stored]], _m: Memberships) -> None:
    logs[ROOM][4] = replace(logs[ROOM][4], body="something else")


def stored_as_somebody_elses(_r: History, logs: dict[int, list[Stored]], _m: Memberships) -> None:
    logs[ROOM][4] = replace(logs[ROOM][4], sender=CARL)


def message_counted_twice(_r: History, logs: dict[int, list[Stored]], _m: Memberships) -> None:
    logs[ROOM][4] = replace(logs[ROOM][4], number=4)


def received_with_another_body(records: History, _l: Logs, _m: Memberships) -> None:
    at = receive(records, "bert", 8)
    records[at] = replace(records[at], body="something else")


def skipped_what_it_may_see(records: History, _l: Logs, _m: Memberships) -> None:
    at = receive(records, "anna", 8)
    records[at] = replace(records[at], kind=Kind.SKIP, to_sequence=8)


def gap_that_begins_too_late(records: History, _l: Logs, _m: Memberships) -> None:
    at = receive(records, "anna", 8)
    records.append(
        replace(records[at], time=records[at].time - 0.01, kind=Kind.GAP, sequence=9, to_sequence=10)
    )


def resumed_too_far(records: History, _l: Logs, _m: Memberships) -> None:
    records.append(Record("bert", BERT, 60.0, Kind.RESUME, ROOM, sequence=11))


def counted_wrong(records: History, _l: Logs, _m: Memberships) -> None:
    records[-1] = replace(records[-1], unread=1)


def read_past_the_head(records: History, _l: Logs, _m: Memberships) -> None:
    records[-1] = replace(records[-1], to_sequence=9)


def receipt_forgotten(records: History, _l: Logs, _m: Memberships) -> None:
    records[-1] = replace(records[-1], sequence=8, unread=2)


def receipt_shown_backwards(records: History, _l: Logs, _m: Memberships) -> None:
    records.append(Record("anna", ANNA, 60.0, Kind.RECEIPT, ROOM, 4, subject=BERT))


def receipt_shown_past_the_head(records: History, _l: Logs, _m: Memberships) -> None:
    records.append(Record("anna", ANNA, 60.0, Kind.RECEIPT, ROOM, 11, subject=BERT))


@pytest.mark.parametrize(
    ("spoil", "promise"),
    [
        (lost, "I1"),
        (stored_twice, "I2"),
        (refused_but_stored, "I2"),
        (answered_elsewhere, "I2"),
        (hole_in_the_log, "I3"),
        (overtaken, "I3"),
        (own_order_swapped, "I3"),
        (received_twice, "I4"),
        (received_swapped, "I4"),
        (received_with_a_hole, "I4"),
        (view_ends_early, "I4"),
        (received_something_else, "I4"),
        (leaked_to_a_stranger, "I5"),
        (leaked_after_leaving, "I5"),
        (stored_with_another_body, "I1"),
        (stored_as_somebody_elses, "I2"),
        (message_counted_twice, "I6"),
        (received_with_another_body, "I4"),
        (skipped_what_it_may_see, "I4"),
        (gap_that_begins_too_late, "I4"),
        (resumed_too_far, "I4"),
        (counted_wrong, "I6"),
        (read_past_the_head, "I6"),
        (receipt_forgotten, "I6"),
        (receipt_shown_backwards, "I6"),
        (receipt_shown_past_the_head, "I6"),
    ],
)
def test_every_bad_history_is_found(spoil: Callable[..., None], promise: str) -> None:
    """Each way to break a promise is found under that promise's name, with records that show it."""
    records, logs, memberships = good()
    spoil(records, logs, memberships)
    found = check(records, logs, memberships)
    assert promise in promises(found)
    assert all(violation.records for violation in found)


def test_an_older_receipt_is_accepted_and_changes_nothing() -> None:
    """Two devices: the later answer may be of the lower receipt; the higher one stands."""
    records, logs, memberships = good()
    records.append(Record("bert", BERT, 60.0, Kind.READ, ROOM, 5, began=59.0))
    records.append(Record("bert", BERT, 62.0, Kind.STATE, ROOM, 10, 10, began=61.0))
    assert check(records, logs, memberships) == []


@pytest.mark.parametrize("harm", ["lost", "doubled", "altered"])
@pytest.mark.parametrize("seed", range(20))
def test_any_single_harmed_delivery_is_found(seed: int, harm: str) -> None:
    """Whichever received event is harmed in whichever view, the judge notices."""
    records, logs, memberships = good()
    at = random.Random(seed).choice([i for i, r in enumerate(records) if r.kind is Kind.RECEIVE])
    if harm == "doubled":
        records.append(replace(records[at], time=99.0))
    elif harm == "altered":
        records[at] = replace(records[at], body="something else")
    else:
        del records[at]
    assert "I4" in promises(check(records, logs, memberships))
