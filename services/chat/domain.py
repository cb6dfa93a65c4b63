"""Rooms, memberships and who may do what. No I/O, no clock: the time comes in as an argument."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.chat.errors import (
    Banned,
    DirectRoomFixed,
    LastOwner,
    NotAMember,
    RoleTooLow,
    RoomArchived,
    RoomNotPublic,
)


class RoomKind(enum.StrEnum):
    """What sort of room it is; fixed when it is made."""

    DIRECT = "direct"
    GROUP = "group"
    PUBLIC = "public"


class Role(enum.StrEnum):
    """What a member may do; each may do what the next may."""

    OWNER = "owner"
    MODERATOR = "moderator"
    MEMBER = "member"


RANK: Mapping[Role, int] = {Role.OWNER: 3, Role.MODERATOR: 2, Role.MEMBER: 1}


class State(enum.StrEnum):
    """Where a user stands in a room."""

    INVITED = "invited"
    JOINED = "joined"
    LEFT = "left"
    BANNED = "banned"


class Action(enum.StrEnum):
    """What a member wants to do in a room."""

    SEND = "send"
    LIST_MEMBERSHIPS = "list_memberships"
    LEAVE = "leave"
    ADD_MEMBERS = "add_members"
    REMOVE_MEMBER = "remove_member"


LEAST_ROLE: Mapping[Action, Role] = {
    Action.SEND: Role.MEMBER,
    Action.LIST_MEMBERSHIPS: Role.MEMBER,
    Action.LEAVE: Role.MEMBER,
    Action.ADD_MEMBERS: Role.MODERATOR,
    Action.REMOVE_MEMBER: Role.MODERATOR,
}
"""The rule table: the least role that may do it. Who is removed must also be of a lower role."""


@dataclass(frozen=True, slots=True)
class Room:
    """A room; `direct_users` are the two of a direct room, the lower id first."""

    room_id: int
    kind: RoomKind
    title: str
    create_time: datetime
    owner_user_id: int = 0
    archive_time: datetime | None = None
    direct_users: tuple[int, int] | None = None

    def other_user(self, user_id: int) -> int:
        """In a direct room the other of the two; 0 elsewhere."""
        if self.direct_users is None:
            return 0
        low, high = self.direct_users
        return high if user_id == low else low


@dataclass(frozen=True, slots=True)
class Membership:
    """A user in a room. `version` rises with every change; `join_number` orders who came first."""

    room_id: int
    user_id: int
    role: Role = Role.MEMBER
    state: State = State.JOINED
    version: int = 1
    join_time: datetime | None = None
    join_number: int = 0

    @property
    def joined(self) -> bool:
        """They are in the room."""
        return self.state is State.JOINED


@dataclass(frozen=True, slots=True)
class Crowd:
    """What a decision about a room looks at: the memberships it asked for, and counts of who is in."""

    memberships: Mapping[int, Membership]
    members: int = 0
    owners: int = 0


class LeftReason(enum.StrEnum):
    """Why a user is out."""

    LEFT = "left"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """A user came in; `actor_user_id` brought them, or they themselves."""

    room: Room
    membership: Membership
    actor_user_id: int


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """A user is out; `actor_user_id` did it."""

    room_id: int
    user_id: int
    actor_user_id: int
    reason: LeftReason


Event = MemberJoined | MemberLeft


@dataclass(frozen=True, slots=True)
class Change:
    """A membership as it shall be, and the event that tells the room."""

    membership: Membership
    event: Event


@dataclass(frozen=True, slots=True)
class NewRoom:
    """A room to be made with its first memberships and their events."""

    room: Room
    changes: Sequence[Change] = field(default=())


def permit(room_id: int, membership: Membership | None, action: Action) -> Membership:
    """The membership, when it allows the action. Raises NotAMember, RoleTooLow."""
    if membership is None or not membership.joined:
        raise NotAMember(roomId=str(room_id))
    least = LEAST_ROLE[action]
    if RANK[membership.role] < RANK[least]:
        raise RoleTooLow(roomId=str(room_id), requiredRole=f"ROLE_{least.name}")
    return membership


def new_room(room: Room, user_ids: Sequence[int]) -> NewRoom:
    """A room with its first members; the owner, if it has one, comes first and brings the others."""
    changes = []
    for user_id in user_ids:
        role = Role.OWNER if user_id == room.owner_user_id else Role.MEMBER
        membership = Membership(room.room_id, user_id, role, join_time=room.create_time)
        changes.append(Change(membership, MemberJoined(room, membership, room.owner_user_id or user_id)))
    return NewRoom(room, changes)


def join(room: Room | None, crowd: Crowd, room_id: int, user_id: int, now: datetime) -> list[Change]:
    """Enters a public room; nothing to do for a member. Who comes into an empty room becomes its owner.

    Raises RoomNotPublic, Banned, RoomArchived.
    """
    known = crowd.memberships.get(user_id)
    if known is not None and known.joined:
        return []
    if room is None or room.kind is not RoomKind.PUBLIC:
        raise RoomNotPublic(roomId=str(room_id))
    role = Role.MEMBER if crowd.members else Role.OWNER
    return [_enter(room, known, user_id, user_id, now, role)]


def leave(room: Room | None, crowd: Crowd, room_id: int, user_id: int) -> list[Change]:
    """Leaves a room; nothing to do for who has left. Raises NotAMember, DirectRoomFixed, LastOwner."""
    known = crowd.memberships.get(user_id)
    if room is not None and known is not None and known.state is State.LEFT:
        return []
    mine = permit(room_id, known, Action.LEAVE)
    _refuse_direct(room)
    if mine.role is Role.OWNER and crowd.owners == 1 and crowd.members > 1:
        raise LastOwner(roomId=str(room_id))
    return [_exit(mine, user_id, LeftReason.LEFT)]


def add_members(
    room: Room | None, crowd: Crowd, room_id: int, actor: int, user_ids: Sequence[int], now: datetime
) -> list[Change]:
    """Brings users in, all or none; who is in stays as they are.

    Raises NotAMember, RoleTooLow, DirectRoomFixed, Banned, RoomArchived.
    """
    mine = permit_in(room, crowd, room_id, actor, Action.ADD_MEMBERS)
    changes = []
    for user_id in dict.fromkeys(user_ids):
        known = crowd.memberships.get(user_id)
        if known is None or not known.joined:
            changes.append(_enter(mine, known, actor, user_id, now))
    return changes


def remove_member(room: Room | None, crowd: Crowd, room_id: int, actor: int, user_id: int) -> list[Change]:
    """Takes a member of a lower role out; nothing to do for who is not in.

    Raises NotAMember, RoleTooLow, DirectRoomFixed.
    """
    permit_in(room, crowd, room_id, actor, Action.REMOVE_MEMBER)
    target = crowd.memberships.get(user_id)
    if target is None or not target.joined:
        return []
    if RANK[target.role] >= RANK[crowd.memberships[actor].role]:
        raise RoleTooLow(roomId=str(room_id), requiredRole=f"ROLE_{Role.OWNER.name}")
    return [_exit(target, actor, LeftReason.REMOVED)]


def permit_in(room: Room | None, crowd: Crowd, room_id: int, actor: int, action: Action) -> Room:
    """The room, when the actor may change its members. Raises NotAMember, DirectRoomFixed, RoleTooLow."""
    if room is None:
        raise NotAMember(roomId=str(room_id))
    mine = crowd.memberships.get(actor)
    if mine is not None and mine.joined:
        _refuse_direct(room)
    permit(room_id, mine, action)
    return room


def _refuse_direct(room: Room | None) -> None:
    if room is not None and room.kind is RoomKind.DIRECT:
        raise DirectRoomFixed(roomId=str(room.room_id))


def _enter(
    room: Room, known: Membership | None, actor: int, user_id: int, now: datetime, role: Role = Role.MEMBER
) -> Change:
    if known is not None and known.state is State.BANNED:
        raise Banned(roomId=str(room.room_id), userId=str(user_id))
    if room.archive_time is not None:
        raise RoomArchived(roomId=str(room.room_id))
    version = 1 if known is None else known.version + 1
    membership = Membership(room.room_id, user_id, role, version=version, join_time=now)
    return Change(membership, MemberJoined(room, membership, actor))


def _exit(known: Membership, actor: int, reason: LeftReason) -> Change:
    gone = replace(known, state=State.LEFT, role=Role.MEMBER, version=known.version + 1)
    return Change(gone, MemberLeft(known.room_id, known.user_id, actor, reason))
