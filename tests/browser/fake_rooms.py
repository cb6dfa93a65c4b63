"""What the fake edge knows: users, rooms and their events, as the JSON of the wire contract."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class RefusedError(Exception):
    """A call that the real services would refuse, with a google.rpc.Code name and a reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


@dataclass
class User:
    """One person with their password in the clear: nobody real is in here."""

    user_id: str
    username: str
    password: str
    display_name: str = ""

    def public(self) -> Json:
        """As UserService tells it."""
        return {"userId": self.user_id, "username": self.username, "displayName": self.display_name}


@dataclass
class Room:
    """One room with all its events; sequence n is events[n - 1]."""

    room_id: str
    kind: str
    title: str = ""
    roles: dict[str, str] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    reads: dict[str, int] = field(default_factory=dict)
    requests: dict[tuple[str, str], Json] = field(default_factory=dict)

    @property
    def head(self) -> int:
        """The newest sequence."""
        return len(self.events)

    def messages(self) -> list[Json]:
        """The events that made a message."""
        return [event for event in self.events if "messageCreated" in event]

    def unread(self, user_id: str) -> int:
        """Messages after what the user has read."""
        return sum(1 for event in self.messages() if int(event["sequence"]) > self.reads.get(user_id, 0))

    def seen_by(self, user_id: str) -> Json:
        """As ListRooms tells it to a user."""
        room: Json = {"roomId": self.room_id, "kind": self.kind, "createTime": now_text()}
        if self.title:
            room["title"] = self.title
        if self.kind == "ROOM_KIND_DIRECT":
            room["directUserId"] = next(other for other in self.roles if other != user_id)
        if user_id not in self.roles:
            return room
        room |= {
            "headSequence": str(self.head),
            "readSequence": str(self.reads.get(user_id, 0)),
            "unreadCount": self.unread(user_id),
        }
        if messages := self.messages():
            last = messages[-1]
            room["lastMessage"] = last["messageCreated"]["message"] | {
                "sequence": last["sequence"],
                "createTime": last["createTime"],
            }
        return room


class World:
    """All users and rooms. Knows no sockets: who commits an event tells the others."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.rooms: dict[str, Room] = {}
        self._ids = itertools.count(1000)
        self.clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)

    def next_id(self) -> str:
        """An id larger than all before."""
        return str(next(self._ids))

    def add_user(self, username: str, password: str, display_name: str = "") -> User:
        """Makes a user; the name must be free."""
        if any(user.username == username for user in self.users.values()):
            raise RefusedError("ALREADY_EXISTS", "USERNAME_TAKEN")
        user = User(self.next_id(), username, password, display_name)
        self.users[user.user_id] = user
        return user

    def add_room(self, owner: User, kind: str, title: str = "", others: tuple[User, ...] = ()) -> Room:
        """Makes a room; its first events are its members coming in."""
        room = Room(self.next_id(), kind, title)
        self.rooms[room.room_id] = room
        for member in (owner, *others):
            room.roles[member.user_id] = "ROLE_OWNER" if member is owner else "ROLE_MEMBER"
        for member in (owner, *others):
            self.commit_joined(room, owner, member)
        return room

    def room_of(self, room_id: str, user_id: str) -> Room:
        """A room the user is in."""
        room = self.rooms.get(room_id)
        if room is None or user_id not in room.roles:
            raise RefusedError("PERMISSION_DENIED", "NOT_A_MEMBER")
        return room

    def commit_joined(self, room: Room, actor: User, member: User) -> Json:
        """A user comes in."""
        room.roles.setdefault(member.user_id, "ROLE_MEMBER")
        membership = {
            "roomId": room.room_id,
            "userId": member.user_id,
            "role": room.roles[member.user_id],
            "state": "MEMBERSHIP_STATE_JOINED",
        }
        shown = {"roomId": room.room_id, "title": room.title, "kind": room.kind}
        return self._commit(room, actor, "", {"memberJoined": {"membership": membership, "room": shown}})

    def commit_left(self, room: Room, member: User) -> Json:
        """A user goes; they are told too."""
        body = {"userId": member.user_id, "actorUserId": member.user_id, "reason": "MEMBER_LEFT_REASON_LEFT"}
        return self._commit(room, member, "", {"memberLeft": body})

    def commit_message(self, room: Room, sender: User, text: str, request_id: str = "") -> tuple[Json, bool]:
        """A message; the event and whether it was there already."""
        known = room.requests.get((sender.user_id, request_id)) if request_id else None
        if known is not None:
            return known, True
        message = {
            "messageId": self.next_id(),
            "messageNumber": str(len(room.messages()) + 1),
            "senderUserId": sender.user_id,
            "text": text,
        }
        event = self._commit(room, sender, request_id, {"messageCreated": {"message": message}})
        room.requests[(sender.user_id, request_id)] = event
        room.reads[sender.user_id] = room.head
        return event, False

    def _commit(self, room: Room, actor: User, request_id: str, body: Json) -> Json:
        event = {
            "roomId": room.room_id,
            "sequence": str(room.head + 1),
            "createTime": self.clock().isoformat().replace("+00:00", "Z"),
            "actorUserId": actor.user_id,
            **({"requestId": request_id} if request_id else {}),
            **body,
        }
        room.events.append(event)
        return event


def now_text() -> str:
    """The present time as protobuf JSON has it."""
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
