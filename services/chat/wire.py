"""Between the messages of the wire and the words of the domain; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from google.protobuf.timestamp_pb2 import Timestamp
from polychat.chat.v1 import messaging_service_pb2, room_pb2
from polychat.internal.link.v1 import link_service_pb2
from polychat.internal.log.v1 import log_read_service_pb2, record_pb2

from chassis.errors import Failure
from services.chat.events import room_message
from services.chat.ports import Disposition, Draft, Outcome, RequestKey, RoomActivity
from services.chat.use_cases.rooms import ListedRoom
from services.chat.use_cases.sending import Sent, draft

if TYPE_CHECKING:
    from polychat.chat.v1.message_pb2 import Message

_DISPOSITIONS = {
    record_pb2.DISPOSITION_COMMITTED: Disposition.COMMITTED,
    record_pb2.DISPOSITION_DUPLICATE: Disposition.DUPLICATE,
    record_pb2.DISPOSITION_REJECTED: Disposition.REJECTED,
}


def draft_of(request: messaging_service_pb2.SendMessageRequest) -> Draft:
    """The draft in a request. Raises InvalidField."""
    return draft(
        request.room_id,
        request.request_id,
        request.text,
        reply_to_message_id=request.reply_to_message_id,
        thread_root_message_id=request.thread_root_message_id,
        mentioned_user_ids=request.mentioned_user_ids,
    )


def sent_message(sent: Sent) -> messaging_service_pb2.SendMessageResponse:
    """The answer to a send; `duplicate` is always said."""
    seconds, micros = divmod(sent.create_micros, 1_000_000)
    return messaging_service_pb2.SendMessageResponse(
        room_id=sent.room_id,
        sequence=sent.sequence,
        message_id=sent.message_id,
        create_time=Timestamp(seconds=seconds, nanos=micros * 1000),
        duplicate=sent.duplicate,
    )


def failure_message(failure: Failure) -> link_service_pb2.Failure:
    """A failure as the edge shows it to its client."""
    return link_service_pb2.Failure(
        code=failure.code,
        reason=failure.reason,
        message=failure.message,
        retryable=failure.retryable,
        retry_after_millis=0 if failure.retry_after is None else max(1, round(failure.retry_after * 1000)),
        metadata=failure.metadata,
    )


def outcomes_of(outcomes: Iterable[record_pb2.Outcome]) -> list[Outcome]:
    """Outcomes as message says them; those of a kind that is not known here are left out."""
    return [
        Outcome(
            outcome.correlation,
            _DISPOSITIONS[outcome.disposition],
            outcome.room_id,
            outcome.sequence,
            outcome.message_id,
            outcome.create_time.seconds * 1_000_000 + outcome.create_time.nanos // 1000,
            outcome.reason,
        )
        for outcome in outcomes
        if outcome.disposition in _DISPOSITIONS
    ]


def key_message(key: RequestKey) -> log_read_service_pb2.RequestKey:
    """The question what became of an entry."""
    return log_read_service_pb2.RequestKey(
        room_id=key.entry.room_id,
        sender_user_id=key.entry.sender_user_id,
        request_id=key.entry.request_key,
        body_hash=key.entry.body_hash,
        correlation=key.correlation,
    )


def activity_of(room: log_read_service_pb2.UserRoom) -> RoomActivity:
    """What the log says about a member's room."""
    last: Message | None = room.last_message if room.HasField("last_message") else None
    return RoomActivity(
        room.room_id, room.head_sequence, room.read_sequence, room.unread_count, room.activity, last
    )


def listed_message(listed: ListedRoom, viewer_user_id: int) -> room_pb2.Room:
    """A room in a list."""
    message = room_message(listed.room, viewer_user_id)
    message.head_sequence = listed.head_sequence
    if listed.activity is not None:
        message.read_sequence = listed.activity.read_sequence
        message.unread_count = listed.activity.unread_count
        if listed.activity.last_message is not None:
            message.last_message.CopyFrom(cast("Message", listed.activity.last_message))
    return message
