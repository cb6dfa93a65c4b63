"""The log's records and payloads as protobuf: the one place that knows both sides."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.log.v1 import record_pb2

from chassis.kafka import key_of, partition_of
from services.message.domain import (
    Command,
    Disposition,
    Effect,
    Entry,
    Outcome,
    Raw,
    RequestKey,
    Sealed,
    Unreadable,
)

MAX_EVENT_BYTES = 32 * 1024
"""A text of 16 KiB with all its mentions is half of this, and a page of 100 such fits a gRPC message."""
REPLY_TO, CORRELATION = "reply_to", "correlation"
_MAX_REPLY_TO_BYTES = 63
EFFECTS = {
    "message_created": Effect.MESSAGE,
    "member_joined": Effect.JOIN,
    "member_left": Effect.LEAVE,
    "room_archived": Effect.ARCHIVE,
}
BY_CHAT_ONLY = frozenset(
    {"member_joined", "member_left", "membership_updated", "room_updated", "room_archived"}
)
"""Changes that chat decided in its own tables; a record that a user sent cannot be one."""
_KINDS = {field.name: field.number for field in RoomEvent.DESCRIPTOR.fields}

_DISPOSITIONS = {
    Disposition.COMMITTED: record_pb2.DISPOSITION_COMMITTED,
    Disposition.DUPLICATE: record_pb2.DISPOSITION_DUPLICATE,
    Disposition.REJECTED: record_pb2.DISPOSITION_REJECTED,
}


class EventDraft:
    """A RoomEvent that waits for its place (domain.Draft)."""

    def __init__(self, event: RoomEvent) -> None:
        self._event = event

    def seal(self, sequence: int, create_millis: int, message_number: int) -> Sealed:
        event = self._event
        event.sequence = sequence
        event.create_time.CopyFrom(timestamp_of(create_millis))
        if event.WhichOneof("payload") != "message_created":
            return Sealed(event.SerializeToString(), None)
        message = event.message_created.message
        message.ClearField("room_id")
        message.ClearField("sequence")
        message.ClearField("create_time")
        message.message_number = message_number
        encoded = event.SerializeToString()
        message.room_id, message.sequence = event.room_id, sequence
        message.create_time.CopyFrom(event.create_time)
        return Sealed(encoded, message.SerializeToString())


@lru_cache(maxsize=64)  # a batch has one or two times
def timestamp_of(millis: int) -> Timestamp:
    """Milliseconds since 1970 as a protobuf timestamp, to be copied and not changed."""
    return Timestamp(seconds=millis // 1000, nanos=millis % 1000 * 1_000_000)


def read_record(partition: int, offset: int, raw: Raw) -> Command | Unreadable:
    """A record of the log, or why it cannot be one."""
    try:
        record = record_pb2.LogRecord.FromString(raw.value or b"")
        event = RoomEvent.FromString(record.event)
    except DecodeError:
        return Unreadable(partition, offset, raw, "cannot be decoded")
    kind = event.WhichOneof("payload") or ""
    reason = _record_fault(partition, raw, record) or _event_fault(record, event, kind)
    if reason is not None:
        return Unreadable(partition, offset, raw, reason)
    message_id = thread_root = 0
    if kind == "message_created":
        message = event.message_created.message
        message_id, thread_root = message.message_id, message.thread_root_message_id
    reply_to, correlation = _waiting(raw.headers)
    return Command(
        partition=partition,
        offset=offset,
        raw=raw,
        key=RequestKey(record.room_id, record.sender_user_id, record.request_id),
        body_hash=record.body_hash,
        kind=_KINDS[kind],
        effect=EFFECTS.get(kind, Effect.NONE),
        draft=EventDraft(event),
        subject_user_id=_subject(event, kind),
        message_id=message_id,
        thread_root_message_id=thread_root,
        reply_to=reply_to,
        correlation=correlation,
    )


def _record_fault(partition: int, raw: Raw, record: record_pb2.LogRecord) -> str | None:
    if record.room_id <= 0:
        return "no room"
    if raw.key != key_of(record.room_id):
        return "the key is not the room"
    if partition_of(record.room_id) != partition:
        return "the room belongs to another partition"
    if len(record.request_id) != 16 or len(record.body_hash) != 16:
        return "request id or body hash is not 16 bytes"
    if len(record.event) > MAX_EVENT_BYTES:
        return "the event is too large"
    return None


def _event_fault(record: record_pb2.LogRecord, event: RoomEvent, kind: str) -> str | None:
    if not kind:
        return "the event says nothing that is known here"
    if event.room_id != record.room_id:
        return "the event is of another room"
    if record.sender_user_id < 0 or (record.sender_user_id > 0 and kind in BY_CHAT_ONLY):
        return "a user cannot send this event"
    if kind == "message_created":
        message = event.message_created.message
        if message.message_id <= 0 or message.sender_user_id <= 0:
            return "the message has no id or no sender"
        if message.sender_user_id != record.sender_user_id:
            return "the message has another sender than the record"
    if kind in ("member_joined", "member_left") and _subject(event, kind) <= 0:
        return "nobody joins or leaves"
    return None


def _subject(event: RoomEvent, kind: str) -> int:
    if kind == "member_joined":
        return event.member_joined.membership.user_id
    return event.member_left.user_id if kind == "member_left" else 0


def _waiting(headers: Sequence[tuple[str, bytes]]) -> tuple[str, int]:
    """Who waits for the outcome; headers that make no sense are as good as none."""
    found = dict(headers)
    name, number = found.get(REPLY_TO) or b"", found.get(CORRELATION) or b""
    if not name or len(name) > _MAX_REPLY_TO_BYTES or len(number) != 8 or not name.isascii():
        return "", 0
    return name.decode("ascii"), int.from_bytes(number, "big")


def outcome_of(outcome: Outcome) -> record_pb2.Outcome:
    """An outcome for the chat instance that waits for it."""
    found = record_pb2.Outcome(
        correlation=outcome.correlation,
        disposition=_DISPOSITIONS[outcome.disposition],
        room_id=outcome.room_id,
        sequence=outcome.sequence,
        message_id=outcome.message_id,
        reason=outcome.reason,
    )
    if outcome.disposition is not Disposition.REJECTED:
        found.create_time.CopyFrom(timestamp_of(outcome.create_millis))
    return found


def event_record_of(entry: Entry) -> record_pb2.EventRecord:
    """A committed event for the hint that carries it."""
    command = entry.command
    record = record_pb2.EventRecord(
        room_id=command.key.room_id, sequence=entry.sequence, event=entry.sealed.event
    )
    if command.effect is Effect.JOIN:
        record.joined_user_ids.append(command.subject_user_id)
    elif command.effect is Effect.LEAVE:
        record.left_user_ids.append(command.subject_user_id)
    return record
