"""What can go wrong in chat, one class per reason, as `polychat.error.v1.ErrorReason` names it."""

from __future__ import annotations

from chassis.errors import Code, Failure, RemoteFailure


class NotAMember(Failure):
    """The caller is not in the room, or there is no such room: the answer is the same, ids can be guessed."""

    code = Code.PERMISSION_DENIED
    reason = "NOT_A_MEMBER"
    text = "you are not a member of room {roomId}"


class RoleTooLow(Failure):
    """The caller is a member and their role does not allow this."""

    code = Code.PERMISSION_DENIED
    reason = "ROLE_TOO_LOW"
    text = "this needs {requiredRole} in room {roomId}"


class RoomNotPublic(Failure):
    """Only public rooms are open to everyone; a room that does not exist answers the same."""

    code = Code.PERMISSION_DENIED
    reason = "ROOM_NOT_PUBLIC"
    text = "room {roomId} is not a public room"


class Banned(Failure):
    """The user was banned from the room."""

    code = Code.PERMISSION_DENIED
    reason = "BANNED"
    text = "user {userId} is banned from room {roomId}"


class LastOwner(Failure):
    """The only owner cannot go while others are in the room."""

    code = Code.FAILED_PRECONDITION
    reason = "LAST_OWNER"
    text = "room {roomId} would be left without an owner"


class DirectRoomFixed(Failure):
    """A direct room keeps its two members."""

    code = Code.FAILED_PRECONDITION
    reason = "DIRECT_ROOM_FIXED"
    text = "the members of direct room {roomId} cannot change"


class RoomArchived(Failure):
    """The room was closed for writing."""

    code = Code.FAILED_PRECONDITION
    reason = "ROOM_ARCHIVED"
    text = "room {roomId} is archived"


class UserNotFound(Failure):
    """There is no such user."""

    code = Code.NOT_FOUND
    reason = "USER_NOT_FOUND"
    text = "there is no user {userId}"


class SelfNotAllowed(Failure):
    """A direct room is for two different users."""

    code = Code.INVALID_ARGUMENT
    reason = "SELF_NOT_ALLOWED"
    text = "user {userId} is yourself"


class RequestIdReused(Failure):
    """The request id was used before, for something else."""

    code = Code.ALREADY_EXISTS
    reason = "REQUEST_ID_REUSED"
    text = "request id {requestId} was used for another request"


def rejection(reason: str, room_id: int, request_id: str) -> Failure:
    """The failure for a record that the log did not take, by the reason the log gave."""
    if reason == NotAMember.reason:
        return NotAMember(roomId=str(room_id))
    if reason == RequestIdReused.reason:
        return RequestIdReused(requestId=request_id)
    if reason == RoomArchived.reason:
        return RoomArchived(roomId=str(room_id))
    return RemoteFailure(Code.FAILED_PRECONDITION, reason, f"the room log did not take it: {reason}")
