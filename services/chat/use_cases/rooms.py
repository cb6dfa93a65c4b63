"""Making, opening and listing rooms."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from chassis.caller import Caller
from chassis.errors import InvalidField
from services.chat.domain import Room, RoomKind, new_room
from services.chat.errors import NotAMember, RequestIdReused, SelfNotAllowed, UserNotFound
from services.chat.ports import Changed, Messages, Now, RoomActivity, RoomStore, Users
from services.chat.use_cases.changes import Changes

MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ListedRoom:
    """A room in a list: what chat knows of it and, for members, what the log says."""

    room: Room
    head_sequence: int
    activity: RoomActivity | None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list; `next_position` is where the next page starts, None on the last."""

    rooms: list[ListedRoom]
    next_position: tuple[int, ...] | None


class Rooms:
    """The room methods. `new_id` gives room ids and may raise BackendUnavailable."""

    def __init__(
        self,
        *,
        store: RoomStore,
        changes: Changes,
        messages: Messages,
        users: Users,
        new_id: Callable[[], int],
        now: Now,
    ) -> None:
        self._store = store
        self._changes = changes
        self._messages = messages
        self._users = users
        self._new_id = new_id
        self._now = now

    async def create(self, caller: Caller, request_key: bytes, title: str, kind: RoomKind) -> Room:
        """Makes a group or public room, once per request id. Raises RequestIdReused, OutcomeUnknown."""
        if kind is RoomKind.DIRECT:
            raise InvalidField("kind", "a direct room is made by OpenDirectRoom")
        room = Room(self._new_id(), kind, title, self._now(), owner_user_id=caller.user_id)
        body = hashlib.sha256(f"{kind}\0{title}".encode()).digest()[:16]
        changed = await self._store.create_room(
            new_room(room, [caller.user_id]), caller.user_id, request_key, body, self._changes.origin
        )
        if changed is None:
            raise RequestIdReused(requestId=str(uuid.UUID(bytes=request_key)))
        return await self._through(changed, caller.user_id)

    async def open_direct(self, caller: Caller, user_id: int) -> Room:
        """The one room of the caller and a user. Raises SelfNotAllowed, UserNotFound, OutcomeUnknown."""
        if user_id == caller.user_id:
            raise SelfNotAllowed(userId=str(user_id))
        if await self._users.missing(caller, [user_id]):
            raise UserNotFound(userId=str(user_id))
        pair = (min(user_id, caller.user_id), max(user_id, caller.user_id))
        room = Room(self._new_id(), RoomKind.DIRECT, "", self._now(), direct_users=pair)
        new = new_room(room, [caller.user_id, user_id])
        changed = await self._store.open_direct_room(new, self._changes.origin)
        return await self._through(changed, caller.user_id)

    async def get(self, user_id: int, room_id: int) -> Room:
        """A room of the user, or a public one. Raises NotAMember, also when there is no such room."""
        room = await self._store.room(room_id)
        if room is not None and room.kind is RoomKind.PUBLIC:
            return room
        mine = (await self._store.memberships([(room_id, user_id)])).get((room_id, user_id))
        if room is None or mine is None or not mine.joined:
            raise NotAMember(roomId=str(room_id))
        return room

    async def list_mine(self, user_id: int, limit: int, position: tuple[int, int]) -> Page:
        """The user's rooms by the log, the most recently active first, after (activity, room id)."""
        found, more = await self._messages.list_rooms(user_id, limit=limit, before=position)
        rooms = await self._store.rooms([activity.room_id for activity in found])
        listed = [
            ListedRoom(rooms[activity.room_id], activity.head_sequence, activity)
            for activity in found
            if activity.room_id in rooms
        ]
        following = (found[-1].activity, found[-1].room_id) if more and found else None
        return Page(listed, following)

    async def list_public(self, user_id: int, limit: int, before_room_id: int) -> Page:
        """Public rooms, the newest first, with ids below `before_room_id`; 0 starts."""
        found = await self._store.public_rooms(before_room_id or MAX_ID, limit + 1)
        rooms, more = found[:limit], len(found) > limit
        if not rooms:
            return Page([], None)
        ids = [room.room_id for room in rooms]
        heads = await self._messages.heads(ids)
        mine = await self._messages.my_rooms(user_id, ids)
        listed = [ListedRoom(room, heads.get(room.room_id, 0), mine.get(room.room_id)) for room in rooms]
        return Page(listed, (rooms[-1].room_id,) if more else None)

    async def _through(self, changed: Changed, user_id: int) -> Room:
        mine = changed.memberships.get(user_id)
        if mine is not None and mine.joined:  # who has left since is not waited for
            await self._changes.see_through(changed, [user_id], members=True)
        return changed.room
