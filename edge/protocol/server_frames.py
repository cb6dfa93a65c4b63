"""Server frames written, JSON or binary.

The frames that go out by the thousand (event of a message, sent, typing, receipt, error) are written
with msgspec; everything else by `json_format`. Both say the same: a property test holds them equal.
"""

from __future__ import annotations

from typing import Any

import msgspec
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import UNSET, Raw, Struct, UnsetType
from polychat.chat.v1.message_pb2 import Message as ChatMessage
from polychat.chat.v1.messaging_service_pb2 import SendMessageResponse
from polychat.edge.v1 import server_frame_pb2 as pb
from polychat.edge.v1.signal_pb2 import TypingSignal
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.message.v1.receipt_pb2 import Receipt

from chassis.errors import Failure

_ZERO = "0"


class _Omitting(Struct, rename="camel", omit_defaults=True):
    pass


class _Message(_Omitting):
    message_id: str = _ZERO
    message_number: str = _ZERO
    sender_user_id: str = _ZERO
    text: str = ""
    reply_to_message_id: str = _ZERO
    thread_root_message_id: str = _ZERO
    mentioned_user_ids: list[str] = []


class _MessageCreated(_Omitting):
    message: _Message | UnsetType = UNSET


class _Event(_Omitting):
    room_id: str = _ZERO
    sequence: str = _ZERO
    create_time: str | UnsetType = UNSET
    actor_user_id: str = _ZERO
    request_id: str = ""
    message_created: _MessageCreated | UnsetType = UNSET


class _Sent(_Omitting):
    room_id: str = _ZERO
    sequence: str = _ZERO
    message_id: str = _ZERO
    create_time: str | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET


class _Typing(_Omitting):
    room_id: str = _ZERO
    user_id: str = _ZERO


class _Receipt(_Omitting):
    room_id: str = _ZERO
    user_id: str = _ZERO
    read_sequence: str | UnsetType = UNSET


class _Error(_Omitting):
    code: str
    reason: str
    message: str = ""
    retryable: bool | UnsetType = UNSET
    retry_after: str | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET


class _Frame(_Omitting):
    id: int = 0
    event: Any = UNSET
    sent: Any = UNSET
    typing: Any = UNSET
    receipt: Any = UNSET
    result: Any = UNSET
    error: Any = UNSET


_json = msgspec.json.Encoder().encode
_COLD_MESSAGE_FIELDS = frozenset(
    ("attachments", "create_time", "edit_time", "delete_time", "room_id", "sequence")
)


def frame_json(frame: pb.ServerFrame) -> bytes:
    """Any frame as canonical protobuf JSON."""
    return _json(json_format.MessageToDict(frame))


def event_json(serialized: bytes) -> bytes:
    """An `event` frame from a serialized RoomEvent."""
    event = RoomEvent.FromString(serialized)
    if event.WhichOneof("payload") != "message_created" or not _plain(event.message_created.message):
        return frame_json(pb.ServerFrame(event=event))
    created = event.message_created
    body = _Event(
        _number(event.room_id),
        _number(event.sequence),
        _time(event.create_time) if event.HasField("create_time") else UNSET,
        _number(event.actor_user_id),
        event.request_id,
        _MessageCreated(_message(created.message) if created.HasField("message") else UNSET),
    )
    return _json(_Frame(event=body))


def event_binary(serialized: bytes) -> bytes:
    """The same as a serialized ServerFrame; the event's own bytes are used as they are."""
    return _EVENT_TAG + _varint(len(serialized)) + serialized


def sent_json(request_id: int, sent: SendMessageResponse) -> bytes:
    """A `sent` frame."""
    body = _Sent(
        _number(sent.room_id),
        _number(sent.sequence),
        _number(sent.message_id),
        _time(sent.create_time) if sent.HasField("create_time") else UNSET,
        sent.duplicate if sent.HasField("duplicate") else UNSET,
    )
    return _json(_Frame(id=request_id, sent=body))


def typing_json(signal: TypingSignal) -> bytes:
    """A `typing` frame."""
    return _json(_Frame(typing=_Typing(_number(signal.room_id), _number(signal.user_id))))


def receipt_json(receipt: Receipt) -> bytes:
    """A `receipt` frame."""
    read = str(receipt.read_sequence) if receipt.HasField("read_sequence") else UNSET
    return _json(_Frame(receipt=_Receipt(_number(receipt.room_id), _number(receipt.user_id), read)))


def result_json(request_id: int, result: bytes) -> bytes:
    """A `result` frame around a reply that is JSON already: a Struct would round large numbers."""
    return _json(_Frame(id=request_id, result=Raw(result)))


def error_message(failure: Failure) -> pb.Error:
    """The body of an `error` frame."""
    error = pb.Error(
        code=failure.code, reason=failure.reason, message=failure.message, retryable=failure.retryable
    )
    if failure.retry_after is not None:
        error.retry_after.FromMilliseconds(max(0, round(failure.retry_after * 1000)))
    error.metadata.SetInParent()
    error.metadata.update({key: str(value) for key, value in failure.metadata.items()})
    return error


def error_json(request_id: int, failure: Failure) -> bytes:
    """An `error` frame."""
    after: str | UnsetType = UNSET
    if failure.retry_after is not None:
        after = _seconds(max(0, round(failure.retry_after * 1000)))
    metadata = {key: str(value) for key, value in failure.metadata.items()}
    body = _Error(str(failure.code), failure.reason, failure.message, failure.retryable, after, metadata)
    return _json(_Frame(id=request_id, error=body))


def _message(message: ChatMessage) -> _Message:
    return _Message(
        _number(message.message_id),
        _number(message.message_number),
        _number(message.sender_user_id),
        message.text,
        _number(message.reply_to_message_id),
        _number(message.thread_root_message_id),
        [str(user_id) for user_id in message.mentioned_user_ids],
    )


def _plain(message: ChatMessage) -> bool:
    return all(field.name not in _COLD_MESSAGE_FIELDS for field, _ in message.ListFields())


def _number(value: int) -> str:
    """An int64. msgspec leaves a default out by identity, so zero has to be that very string."""
    return str(value) if value else _ZERO


def _time(value: Timestamp) -> str:
    return value.ToJsonString()


def _seconds(millis: int) -> str:
    whole, rest = divmod(millis, 1000)
    return f"{whole}.{rest:03}s" if rest else f"{whole}s"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_EVENT_TAG = _varint(pb.ServerFrame.DESCRIPTOR.fields_by_name["event"].number << 3 | 2)
