"""A small history without a fault, to be spoilt by the tests of the judge."""

from __future__ import annotations

from tests.support.history import Kind, Record, Stored, Violation

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
            records.append(Record(reader, reader_user, clock + 0.65, Kind.READING, ROOM, number))
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
