"""The unary methods that the page calls, on the fake edge's world."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from tests.browser.fake_rooms import Json, RefusedError, Room, User, World

Publish = Callable[[Room, Json], None]


class FakeApi:
    """Calls by method name. `publish` is called with every event that a call commits."""

    def __init__(self, world: World, publish: Publish) -> None:
        self._world = world
        self._publish = publish
        self._sessions = 0
        self.access_seconds = 900
        self.calls: list[str] = []

    def call(self, method: str, request: Json, token: str | None) -> Json:
        """Answers a call; RefusedError when the services would refuse it."""
        name = method.rpartition("/")[2]
        self.calls.append(name)
        if name in ("Register", "Login", "RefreshSession"):
            return self._sign_in(name, request)
        caller = self.caller(token)
        handlers: dict[str, Callable[[User, Json], Json]] = {
            "Logout": lambda _caller, _request: {},
            "BatchGetUsers": self._batch_get_users,
            "SearchUsers": self._search_users,
            "CreateRoom": self._create_room,
            "OpenDirectRoom": self._open_direct_room,
            "ListRooms": self._list_rooms,
            "ListPublicRooms": self._list_public_rooms,
            "JoinRoom": self._join_room,
            "LeaveRoom": self._leave_room,
            "AddMembers": self._add_members,
            "ListMemberships": self._list_memberships,
            "ListEvents": self._list_events,
        }
        return handlers[name](caller, request)

    def caller(self, token: str | None) -> User:
        """Whose access token it is."""
        try:
            return self._world.users[json.loads(base64.b64decode(token or ""))["sub"]]
        except (ValueError, KeyError) as error:
            raise RefusedError("UNAUTHENTICATED", "TOKEN_INVALID") from error

    def _sign_in(self, name: str, request: Json) -> Json:
        if name == "Register":
            user = self._world.add_user(
                request["username"], request["password"], request.get("displayName", "")
            )
        elif name == "Login":
            user = self._login(request)
        else:
            user = self._refreshed(request)
        self._sessions += 1
        token = base64.b64encode(json.dumps({"sub": user.user_id, "n": self._sessions}).encode()).decode()
        return {
            "user": {"userId": user.user_id, "username": user.username},
            "accessToken": token,
            "expiresIn": f"{self.access_seconds}s",
            "refreshToken": f"{user.user_id}.{self._sessions}",
        }

    def _login(self, request: Json) -> User:
        for user in self._world.users.values():
            if (user.username, user.password) == (request["username"], request["password"]):
                return user
        raise RefusedError("UNAUTHENTICATED", "INVALID_CREDENTIALS")

    def _refreshed(self, request: Json) -> User:
        user = self._world.users.get(request["refreshToken"].partition(".")[0])
        if user is None:
            raise RefusedError("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")
        return user

    def _batch_get_users(self, _caller: User, request: Json) -> Json:
        users = self._world.users
        return {"users": [users[user_id].public() for user_id in request["userIds"] if user_id in users]}

    def _search_users(self, _caller: User, request: Json) -> Json:
        query = request["query"].lower()
        found = [user for user in self._world.users.values() if user.username.lower().startswith(query)]
        return {"users": [user.public() for user in found]}

    def _create_room(self, caller: User, request: Json) -> Json:
        room = self._world.add_room(caller, request["kind"], request["title"])
        self._publish(room, room.events[0])
        return {"room": {"roomId": room.room_id, "title": room.title, "kind": room.kind}}

    def _open_direct_room(self, caller: User, request: Json) -> Json:
        other = self._world.users[request["userId"]]
        pair = {caller.user_id, other.user_id}
        for room in self._world.rooms.values():
            if room.kind == "ROOM_KIND_DIRECT" and set(room.roles) == pair:
                return {"room": room.seen_by(caller.user_id)}
        room = self._world.add_room(caller, "ROOM_KIND_DIRECT", "", (other,))
        for event in room.events:
            self._publish(room, event)
        return {"room": {"roomId": room.room_id, "kind": room.kind, "directUserId": other.user_id}}

    def _list_rooms(self, caller: User, _request: Json) -> Json:
        mine = [room for room in self._world.rooms.values() if caller.user_id in room.roles]
        mine.sort(key=lambda room: room.events[-1]["createTime"], reverse=True)
        return {"rooms": [room.seen_by(caller.user_id) for room in mine]}

    def _list_public_rooms(self, caller: User, _request: Json) -> Json:
        public = [room for room in self._world.rooms.values() if room.kind == "ROOM_KIND_PUBLIC"]
        return {"rooms": [room.seen_by(caller.user_id) for room in public]}

    def _join_room(self, caller: User, request: Json) -> Json:
        room = self._world.rooms[request["roomId"]]
        event = self._world.commit_joined(room, caller, caller)
        self._publish(room, event)
        return {"membership": event["memberJoined"]["membership"]}

    def _leave_room(self, caller: User, request: Json) -> Json:
        room = self._world.room_of(request["roomId"], caller.user_id)
        self._publish(room, self._world.commit_left(room, caller))
        del room.roles[caller.user_id]
        return {}

    def _add_members(self, caller: User, request: Json) -> Json:
        room = self._world.room_of(request["roomId"], caller.user_id)
        if room.roles[caller.user_id] == "ROLE_MEMBER":
            raise RefusedError("PERMISSION_DENIED", "ROLE_TOO_LOW")
        memberships = []
        for user_id in request["userIds"]:
            event = self._world.commit_joined(room, caller, self._world.users[user_id])
            memberships.append(event["memberJoined"]["membership"])
            self._publish(room, event)
        return {"memberships": memberships}

    def _list_memberships(self, caller: User, request: Json) -> Json:
        room = self._world.room_of(request["roomId"], caller.user_id)
        joined = "MEMBERSHIP_STATE_JOINED"
        return {
            "memberships": [{"userId": u, "role": role, "state": joined} for u, role in room.roles.items()]
        }

    def _list_events(self, caller: User, request: Json) -> Json:
        room = self._world.room_of(request["roomId"], caller.user_id)
        size = request.get("pageSize", 50)
        if "afterSequence" in request:
            after = int(request["afterSequence"])
            page, more = room.events[after : after + size], after + size < room.head
        else:
            before = int(request.get("beforeSequence", room.head + 1)) - 1
            page, more = room.events[max(0, before - size) : before], before > size
        return {"events": page, **({"nextPageToken": "more"} if more else {})}
