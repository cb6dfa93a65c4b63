"""Fetched records of one partition, checked against where we stand. No I/O.

Kafka's own offsets are a hint here: what counts is log_position. Before an owner commits anything
it looks at the record before its position, whose fingerprint it knows, so that a log that was wiped
and has grown again is not taken for the one that was read before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.message.domain import Batch, Position, Raw
from services.message.events import read_record


class Record(Protocol):
    """aiokafka's ConsumerRecord, as far as it is used here."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class AnotherLogError(Exception):
    """The records are not the continuation of what was committed."""


@dataclass(frozen=True, slots=True)
class LogEnds:
    """The offsets a partition holds: `begin` is its first record, `end` the one after its last."""

    begin: int
    end: int


def fault(position: Position, ends: LogEnds) -> str | None:
    """Why the position is not in the log, None when it is."""
    if position.next_offset > ends.end:
        return f"the log ends at {ends.end} and {position.next_offset} is next: it lost records or was wiped"
    if position.next_offset < ends.begin:
        return f"the log begins at {ends.begin} and {position.next_offset} is next: retention took the rest"
    return None


def first_offset(position: Position, ends: LogEnds) -> int:
    """Where to start reading: at the record that proves the log, when it is still there."""
    if position.anchor and position.next_offset > ends.begin:
        return position.next_offset - 1
    return position.next_offset


def continuation(position: Position, records: Sequence[Record]) -> list[Record]:
    """The records from the position on. Raises AnotherLogError when the one before is not ours."""
    for record in records:
        if record.offset == position.next_offset - 1 and position.anchor not in (b"", anchor_of(record)):
            raise AnotherLogError(f"record {record.offset} is not the one that was committed")
    return [record for record in records if record.offset >= position.next_offset]


def batch_of(partition: int, records: Sequence[Record]) -> Batch:
    """Records read for the sequencer; at least one."""
    last = records[-1]
    return Batch(
        arrivals=[
            read_record(partition, record.offset, Raw(record.key, record.value, record.headers))
            for record in records
        ],
        next_offset=last.offset + 1,
        anchor=anchor_of(last),
    )


def anchor_of(record: Record) -> bytes:
    """A fingerprint of a record, to recognise it."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (record.timestamp.to_bytes(8, "big", signed=True), record.key or b"", record.value or b""):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
