"""What a list of rooms from chat says of a user, with what was heard here meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polychat.edge.v1.client_frame_pb2 import Hello
from polychat.edge.v1.server_frame_pb2 import RoomState
from polychat.internal.link.v1.link_service_pb2 import ConnectionOpened
from polychat.internal.log.v1.log_read_service_pb2 import UserRoom

from edge.protocol.epochs import judged
from edge.protocol.events import Event
from edge.room import User


def corrected(user: User, opened: ConnectionOpened, passed: Sequence[Event] = ()) -> list[UserRoom]:
    """The rooms as read by chat, less those whose leaving was heard of before they were told, or is now."""
    for one in opened.ended:
        user.note_left(one.room_id, one.left_sequence)
    left = dict(user.left)
    for event in passed:
        if user.user_id in event.left:
            left[event.room_id] = max(event.sequence, left.get(event.room_id, 0))
    return [room for room in opened.rooms if left.get(room.room_id, 0) < max(1, room.joined_sequence)]


def unlisted(user: User, rooms: Iterable[UserRoom]) -> set[int]:
    """Where the user is as far as is known here, and not by this list."""
    return user.rooms.keys() - {entry.room_id for entry in rooms}


def judged_cursor(cursor: int | None, hello: Hello, entry: UserRoom, opened: ConnectionOpened) -> int | None:
    """The cursor that a hello says, if it says one, or VOID: the room was set back behind it."""
    return None if cursor is None else judged(cursor, hello.log_epoch, entry.epochs, opened.log_epochs)


def state_of(entry: UserRoom) -> RoomState:
    """The head goes with the count: what came since is in neither, and follows as events."""
    return RoomState(
        room_id=entry.room_id,
        head_sequence=entry.head_sequence,
        read_sequence=entry.read_sequence,
        unread_count=entry.unread_count,
        joined_sequence=entry.joined_sequence,
    )
