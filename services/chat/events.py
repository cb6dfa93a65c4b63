"""What happened in a room, as the bytes that travel through the log (adapter: protobuf)."""

from __future__ import annotations

import hashlib
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from polychat.chat.v1 import membership_pb2, message_pb2, room_pb2
from polychat.event.v1 import room_event_pb2

from services.chat.domain import Event, LeftReason, MemberJoined, Membership, Role, Room, RoomKind, State
from services.chat.ports import Draft, LogEntry

HASH_BYTES = 16

KINDS = {
    RoomKind.DIRECT: room_pb2.ROOM_KIND_DIRECT,
    RoomKind.GROUP: room_pb2.ROOM_KIND_GROUP,
    RoomKind.PUBLIC: room_pb2.ROOM_KIND_PUBLIC,
}
ROLES = {
    Role.OWNER: membership_pb2.ROLE_OWNER,
    Role.MODERATOR: membership_pb2.ROLE_MODERATOR,
    Role.MEMBER: membership_pb2.ROLE_MEMBER,
}
STATES = {
    State.INVITED: membership_pb2.MEMBERSHIP_STATE_INVITED,
    State.JOINED: membership_pb2.MEMBERSHIP_STATE_JOINED,
    State.LEFT: membership_pb2.MEMBERSHIP_STATE_LEFT,
    State.BANNED: membership_pb2.MEMBERSHIP_STATE_BANNED,
}
_LEFT_REASONS = {
    LeftReason.LEFT: room_event_pb2.MEMBER_LEFT_REASON_LEFT,
    LeftReason.REMOVED: room_event_pb2.MEMBER_LEFT_REASON_REMOVED,
}


def timestamp(time: datetime) -> Timestamp:
    """The same instant for the wire."""
    result = Timestamp()
    result.FromDatetime(time)
    return result


def room_message(room: Room, viewer_user_id: int) -> room_pb2.Room:
    """The room as a user sees it, without what only lists tell."""
    return room_pb2.Room(
        room_id=room.room_id,
        title=room.title,
        kind=KINDS[room.kind],
        create_time=timestamp(room.create_time),
        archive_time=None if room.archive_time is None else timestamp(room.archive_time),
        direct_user_id=room.other_user(viewer_user_id),
    )


def membership_message(membership: Membership) -> membership_pb2.Membership:
    """The membership for the wire."""
    return membership_pb2.Membership(
        room_id=membership.room_id,
        user_id=membership.user_id,
        role=ROLES[membership.role],
        state=STATES[membership.state],
        join_time=None if membership.join_time is None else timestamp(membership.join_time),
    )


def body_hash(event: bytes) -> bytes:
    """Tells a repeat from a reuse; over the event without its message id."""
    return hashlib.sha256(event).digest()[:HASH_BYTES]


def membership_entry(event: Event, request_key: bytes) -> LogEntry:
    """The entry of an outbox event."""
    encoded = _membership_event(event).SerializeToString(deterministic=True)
    room_id = event.room.room_id if isinstance(event, MemberJoined) else event.room_id
    return LogEntry(room_id, 0, request_key, body_hash(encoded), encoded)


def subject_of(event: bytes) -> int:
    """Whose membership an outbox event changes."""
    decoded = room_event_pb2.RoomEvent.FromString(event)
    if decoded.HasField("member_left"):
        return decoded.member_left.user_id
    return decoded.member_joined.membership.user_id


class MessageEncoder:
    """Turns drafts into log entries (ports.Encoder)."""

    def message(self, draft: Draft, sender_user_id: int, message_id: int) -> LogEntry:
        """The entry of a new message; its hash does not depend on the message id, which a repeat has anew."""
        event = room_event_pb2.RoomEvent(
            room_id=draft.room_id,
            actor_user_id=sender_user_id,
            request_id=draft.request_id,
            message_created=room_event_pb2.MessageCreated(
                message=message_pb2.Message(
                    sender_user_id=sender_user_id,
                    text=draft.text,
                    reply_to_message_id=draft.reply_to_message_id,
                    thread_root_message_id=draft.thread_root_message_id,
                    mentioned_user_ids=draft.mentioned_user_ids,
                )
            ),
        )
        digest = body_hash(event.SerializeToString(deterministic=True))
        event.message_created.message.message_id = message_id
        encoded = event.SerializeToString(deterministic=True)
        return LogEntry(draft.room_id, sender_user_id, draft.request_key, digest, encoded)


def _membership_event(event: Event) -> room_event_pb2.RoomEvent:
    if isinstance(event, MemberJoined):
        return room_event_pb2.RoomEvent(
            room_id=event.room.room_id,
            actor_user_id=event.actor_user_id,
            member_joined=room_event_pb2.MemberJoined(
                membership=membership_message(event.membership),
                room=room_message(event.room, event.membership.user_id),
            ),
        )
    return room_event_pb2.RoomEvent(
        room_id=event.room_id,
        actor_user_id=event.actor_user_id,
        member_left=room_event_pb2.MemberLeft(
            user_id=event.user_id, actor_user_id=event.actor_user_id, reason=_LEFT_REASONS[event.reason]
        ),
    )
