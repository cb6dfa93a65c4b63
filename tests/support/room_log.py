"""Records of the room log for tests, made as chat makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.kafka import key_of, partition_of
from services.message.domain import Batch, Command, Raw, Unreadable
from services.message.events import read_record

Headers = Sequence[tuple[str, bytes]]


def request_id(number: int) -> bytes:
    """A request id that a reader of a failure recognises."""
    return number.to_bytes(16, "big")


def record_of(room_id: int, sender_user_id: int, number: int, event: RoomEvent) -> LogRecord:
    """The record that carries an event."""
    event.room_id = room_id
    body = event.SerializeToString(deterministic=True)
    return LogRecord(
        room_id=room_id,
        sender_user_id=sender_user_id,
        request_id=request_id(number),
        body_hash=hashlib.sha256(body).digest()[:16],
        event=body,
    )


def joined(room_id: int, user_id: int, number: int) -> LogRecord:
    """A user comes in."""
    event = RoomEvent(actor_user_id=user_id)
    event.member_joined.membership.user_id = user_id
    return record_of(room_id, 0, number, event)


def left(room_id: int, user_id: int, number: int) -> LogRecord:
    """A user goes."""
    event = RoomEvent(actor_user_id=user_id)
    event.member_left.user_id = user_id
    return record_of(room_id, 0, number, event)


def archived(room_id: int, number: int) -> LogRecord:
    """The room is closed for writing."""
    event = RoomEvent()
    event.room_archived.SetInParent()
    return record_of(room_id, 0, number, event)


def sent(room_id: int, user_id: int, number: int, text: str = "hi", message_id: int = 0) -> LogRecord:
    """A user says something; `message_id` defaults to one made of the number."""
    event = RoomEvent(actor_user_id=user_id)
    message = event.message_created.message
    message.sender_user_id, message.text = user_id, text
    record = record_of(room_id, user_id, number, event)
    message.message_id = message_id or 1_000_000 + number
    record.event = event.SerializeToString(deterministic=True)
    return record


@dataclass
class Tape:
    """One partition's records in the order they are put on, with offsets from 0."""

    partition: int
    records: list[Raw] = field(default_factory=list)

    def put(self, record: LogRecord, headers: Headers = ()) -> None:
        """Adds a record under its room's key."""
        self.put_raw(Raw(key_of(record.room_id), record.SerializeToString(), headers))

    def put_all(self, *records: LogRecord) -> None:
        """Adds records that nobody waits for."""
        for record in records:
            self.put(record)

    def put_raw(self, raw: Raw) -> None:
        """Adds any record."""
        self.records.append(raw)

    def command(self, offset: int) -> Command:
        """A record that can be read. ValueError when it cannot."""
        found = self.read(offset)
        if isinstance(found, Unreadable):
            raise ValueError(found.reason)
        return found

    def read(self, offset: int) -> Command | Unreadable:
        """The record at an offset, read anew."""
        return read_record(self.partition, offset, self.records[offset])

    def batch(self, start: int, stop: int | None = None) -> Batch:
        """The records from `start` up to but not including `stop`."""
        stop = len(self.records) if stop is None else stop
        return Batch([self.read(offset) for offset in range(start, stop)], stop, b"anchor-%d" % stop)


def rooms_of(partition: int, count: int) -> list[int]:
    """The first room ids of one partition."""
    found: list[int] = []
    room_id = 1
    while len(found) < count:
        if partition_of(room_id) == partition:
            found.append(room_id)
        room_id += 1
    return found
