"""Brings the hub's picture of who is in which room in line with the log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from polychat.internal.link.v1.link_service_pb2 import ConnectionOpened

from services.chat.attached import Connection, Output
from services.chat.hub import Hub
from services.chat.peers import UserRoomList

ATTEMPTS = 3
"""A list that is out of date when it comes (the user joined or left meanwhile) is read again so often."""


class LogReader(Protocol):
    """Of peers.MessagePeer what is used here; every method may raise a Failure."""

    async def all_rooms(self, user_ids: Sequence[int]) -> dict[int, UserRoomList]:
        """Every room of every user, by user."""

    async def heads(self, room_ids: Sequence[int]) -> dict[int, int]:
        """Last sequences of the rooms that have a log."""


class _Reading(NamedTuple):
    """What the hub knew of a user when a list was asked for."""

    mark: int
    lists: int


class Placed(NamedTuple):
    """A list that the hub goes by, and the user's mark there with it."""

    rooms: UserRoomList
    mark: int


class Placement:
    """Reads room lists and places their users in the hub."""

    def __init__(self, hub: Hub, log: LogReader) -> None:
        self._hub = hub
        self._log = log

    async def rooms_of(self, user_ids: Collection[int]) -> dict[int, Placed]:
        """The rooms of users who are in the hub already, placed; without those whose list never came in time.

        The lists' heads belong to the lists' memberships (one snapshot). What was committed since is found
        by reading heads again once the rooms are listened to. May raise a Failure.
        """
        done: dict[int, Placed] = {}
        waiting = set(user_ids)
        for _ in range(ATTEMPTS):
            if not waiting:
                break
            readings = self._readings(waiting)
            for user_id, rooms in (await self._log.all_rooms(sorted(waiting))).items():
                if self._is_new(user_id, readings[user_id], rooms):
                    self._place(user_id, rooms)
                    done[user_id] = Placed(rooms, self._hub.mark(user_id))
                    waiting.discard(user_id)
        return done

    async def compare(self, room_ids: Collection[int]) -> int:
        """Reads the heads of these rooms and tells edges what they miss; gives the number of rooms behind."""
        served = [room_id for room_id in room_ids if room_id in self._hub.rooms]
        return self._hub.compare(await self._log.heads(served)) if served else 0

    def stale(self, user_id: int, placed: Placed) -> bool:
        """Whether the user came or went since: the edge may have heard of it before it hears the list."""
        return self._hub.mark(user_id) != placed.mark

    def tell(self, output: Output, connection: Connection, rooms: UserRoomList) -> None:
        """Tells an edge the rooms of a connection, and after them what has overtaken the list: it went to
        edges that had the room already, which this one may not be. Not in the list itself, because its
        unread counts go with its heads (I6)."""
        connection.told = True
        output.opened(
            ConnectionOpened(
                connection_id=connection.connection_id,
                user_id=connection.user_id,
                rooms=rooms.rooms,
                rooms_truncated=rooms.truncated,
                log_epochs=rooms.log_epochs,
                ended=rooms.ended,
            )
        )
        for room_id, head in rooms.heads.items():
            passed = self._hub.passed(room_id)
            if passed > head:
                output.head(room_id, passed)

    async def read_again(self, user_ids: Collection[int]) -> None:
        """For live connections, after hints were lost: who is in a new room or was in one unseen is told
        their rooms again, rooms that were left are compared once more so that the edge sees how. May raise a
        Failure.

        The list and not the event of the joining, which is old for an edge that serves the room to others.
        """
        if not user_ids:
            return
        readings = self._readings(user_ids)
        lists = await self._log.all_rooms(sorted(user_ids))
        whole = {user_id: rooms.heads for user_id, rooms in lists.items() if not rooms.truncated}
        gone = {r for user_id, heads in whole.items() for r in self._hub.rooms_of(user_id) - heads.keys()}
        await self.compare(gone)
        joined: set[int] = set()
        for user_id, rooms in lists.items():
            if self._is_new(user_id, readings[user_id], rooms):
                joined |= self._place(user_id, rooms)
            else:
                self._hub.doubtful.add(user_id)
        await self.compare(joined)

    def _readings(self, user_ids: Iterable[int]) -> dict[int, _Reading]:
        return {user_id: _Reading(self._hub.mark(user_id), self._hub.lists(user_id)) for user_id in user_ids}

    def _is_new(self, user_id: int, reading: _Reading, rooms: UserRoomList) -> bool:
        """Whether the list can be gone by. When another one came while it was read, either may be the older:
        what they do not agree on is read once more. A truncated one takes nothing back, old as it may be."""
        if self._hub.mark(user_id) != reading.mark:
            return False
        overlapped = self._hub.lists(user_id) != reading.lists and not rooms.truncated
        if overlapped and rooms.heads.keys() != self._hub.rooms_of(user_id):
            return False
        return not self._hub.outdated(user_id, rooms.heads)

    def _place(self, user_id: int, rooms: UserRoomList) -> set[int]:
        """Goes by a list; gives the rooms that are new. Connections that were told an older one are told this
        one, when it says more: a coming that nobody heard, or a whole membership."""
        new = self._hub.place(user_id, rooms.heads, whole=not rooms.truncated)
        if self._hub.ended(user_id, rooms.ended) or new:
            self._tell_again(user_id, rooms)
        return new

    def _tell_again(self, user_id: int, rooms: UserRoomList) -> None:
        for edge in self._hub.edges:
            if user_id in edge.users:
                for connection in edge.connections.values():
                    if connection.user_id == user_id and connection.told:
                        self.tell(edge.output, connection, rooms)
