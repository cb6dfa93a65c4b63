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
        log.append(Stored(number, request, message, user))
        records.append(Record(client, user, clock, Kind.INVOKE, ROOM, request_id=request))
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
                Record(reader, reader_user, clock + 0.6, Kind.RECEIVE, ROOM, number, message_id=message)
            )
        clock += 1
    records.append(Record("bert", BERT, clock, Kind.RESUME, ROOM, sequence=10))
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
    ],
)
def test_every_bad_history_is_found(spoil: Callable[..., None], promise: str) -> None:
    """Each way to break a promise is found under that promise's name, with records that show it."""
    records, logs, memberships = good()
    spoil(records, logs, memberships)
    found = check(records, logs, memberships)
    assert promise in promises(found)
    assert all(str(violation) for violation in found)


@pytest.mark.parametrize("seed", range(30))
def test_any_single_lost_delivery_is_found(seed: int) -> None:
    """Whichever received event is taken out of whichever view, the judge notices."""
    records, logs, memberships = good()
    places = [i for i, r in enumerate(records) if r.kind is Kind.RECEIVE]
    del records[random.Random(seed).choice(places)]
    assert "I4" in promises(check(records, logs, memberships))
