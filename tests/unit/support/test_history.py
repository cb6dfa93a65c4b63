"""The judge judged: good histories pass, and every kind of bad one is found and named."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.history import Kind, Logs, Record, Stored, Violation, check

ROOM = 5
ANNA, BERT, CARL = 1, 2, 3
History = list[Record]
Memberships = dict[tuple[int, int], list[tuple[int, int | None]]]


def good() -> tuple[History, dict[int, list[Stored]], Memberships]:
    """Anna and Bert talk in a room; Bert loses his connection once; one send ends unknown."""
    log = [Stored(1), Stored(2)]
    records: History = []
    for client, user in (("anna", ANNA), ("bert", BERT)):
        records.append(Record(client, user, 0.0, Kind.RESUME, ROOM, sequence=2))
    clock = 1.0
    for number in range(3, 11):
        client, user = (("anna", ANNA), ("bert", BERT))[number % 2]
        request, message = f"r{number}", 100 + number
        body = f"text {number}"
        log.append(Stored(number, request, message, user, body, number - 2))
        records.append(Record(client, user, clock, Kind.INVOKE, ROOM, request_id=request, body=body))
        answer = Kind.UNKNOWN if number == 6 else Kind.OK
        records.append(
            Record(
                client,
                user,
                clock + 0.5,
                answer,
                ROOM,
                sequence=number if answer is Kind.OK else 0,
                request_id=request,
                message_id=message,
            )
        )
        for reader, reader_user in (("anna", ANNA), ("bert", BERT)):
            records.append(
                Record(
                    reader,
                    reader_user,
                    clock + 0.6,
                    Kind.RECEIVE,
                    ROOM,
                    number,
                    message_id=message,
                    body=body,
                )
            )
            records.append(
                Record(reader, reader_user, clock + 0.7, Kind.READ, ROOM, number, began=clock + 0.65)
            )
            records.append(Record("anna", ANNA, clock + 0.8, Kind.RECEIPT, ROOM, number, subject=BERT))
        clock += 1
    records.append(Record("bert", BERT, clock, Kind.RESUME, ROOM, sequence=10))
    records.append(Record("bert", BERT, clock + 0.1, Kind.STATE, ROOM, 10, 10, began=clock))
    return records, {ROOM: log}, {(ROOM, ANNA): [(1, None)], (ROOM, BERT): [(2, None)]}


def promises(found: list[Violation]) -> set[str]:
    return {violation.promise for violation in found}


def receive(records: History, client: str, sequence: int) -> int:
    """The place of the record in which a client receives a sequence."""
    return next(
        i
        for i, r in enumerate(records)
        if r.kind is Kind.RECEIVE and r.client == client and r.sequence == sequence
    )


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
    for at, record in enumerate(records):
        if record.kind is Kind.OK:
            records[at] = replace(record, kind=Kind.UNKNOWN, sequence=0)
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
    logs[ROOM][4] = replace(logs[ROOM][4], number=logs[ROOM][4].number + 1)


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


def came_back() -> tuple[History, dict[int, list[Stored]], Memberships]:
    """Carl is in the room from 3 to 5 and from 8 on, and connected all the time."""
    records, logs, memberships = good()
    memberships[ROOM, CARL] = [(3, 5), (8, None)]
    for number in (3, 4, 5, 8, 9, 10):
        shown = records[receive(records, "anna", number)]
        records.append(replace(shown, client="carl", user=CARL, time=50.0 + number))
    return records, logs, memberships


def test_who_comes_back_goes_on_with_the_event_of_it() -> None:
    """Nothing is shown of the time between, and it need not be told as skipped."""
    assert check(*came_back()) == []


@pytest.mark.parametrize("missed", [5, 8, 10])
def test_who_comes_back_misses_nothing(missed: int) -> None:
    """Neither the end of the first stretch, nor the beginning or the end of the second."""
    records, logs, memberships = came_back()
    del records[receive(records, "carl", missed)]
    assert promises(check(records, logs, memberships)) == {"I4"}


@pytest.mark.parametrize("leaked", [6, 7])
def test_nothing_of_the_time_between_reaches_who_comes_back(leaked: int) -> None:
    """Neither the first event after the end nor the last before the new beginning."""
    records, logs, memberships = came_back()
    shown = records[receive(records, "anna", leaked)]
    records.append(replace(shown, client="carl", user=CARL, time=50.0 + leaked))
    assert "I5" in promises(check(records, logs, memberships))


@pytest.mark.parametrize("told", [False, True])
def test_a_room_that_was_not_told_at_the_beginning_starts_with_the_join(told: bool) -> None:
    """Carl was away when he was removed, and came back to a connection without the room. Had the room been
    in its welcome, the rest of the first stretch was due."""
    records, logs, memberships = came_back()
    del records[receive(records, "carl", 5)]
    records.append(Record("carl", CARL, 56.0, Kind.RESUME, ROOM, sequence=4))
    if told:
        records.append(Record("carl", CARL, 56.1, Kind.STATE, ROOM, 10, 10))
    assert promises(check(records, logs, memberships)) == ({"I4"} if told else set())


def test_who_was_removed_while_away_need_not_see_the_end() -> None:
    """The rest of a membership that is over is not theirs to ask for any more."""
    records, logs, memberships = came_back()
    memberships[ROOM, CARL] = [(3, 5), (8, 10)]
    del records[receive(records, "carl", 10)]
    assert check(records, logs, memberships) == []


def test_after_a_reset_the_old_view_counts_no_more() -> None:
    """A restored database: what was seen before may be gone, what is seen after must be there."""
    records, logs, memberships = good()
    ghost = Record("anna", ANNA, 20.0, Kind.RECEIVE, ROOM, 11, message_id=999, body="a ghost")
    assert promises(check([*records, ghost], logs, memberships)) == {"I4"}
    again = [
        replace(r, time=40.0 + r.sequence) for r in records if r.kind is Kind.RECEIVE and r.client == "anna"
    ]
    reset = Record("anna", ANNA, 30.0, Kind.RESET, ROOM, sequence=2)
    assert check([*records, ghost, reset, *again], logs, memberships) == []
    assert promises(check([*records, ghost, reset, *again[:-1]], logs, memberships)) == {"I4"}


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
