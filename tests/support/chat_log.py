"""A room log that behaves: it numbers, refuses repeats and strangers, answers, and can be away."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.log.v1.log_read_service_pb2 import EndedMembership, UserRoom
from polychat.internal.log.v1.record_pb2 import EventRecord

from chassis.errors import BackendUnavailable
from services.chat.peers import UserRoomList
from services.chat.ports import (
    Disposition,
    LogEntry,
    OutboxEntry,
    Outcome,
    RequestKey,
    RoomActivity,
)


@dataclass
class LogRoom:
    """One room in the log."""

    events: list[EventRecord] = field(default_factory=list)
    members: dict[int, int] = field(default_factory=dict)
    activity: int = 0
    ended: list[tuple[int, int, int]] = field(default_factory=list)
    """(user, first, last sequence) of memberships that are over."""

    def part(self, user_id: int, sequence: int) -> None:
        """A membership ends with the event of this sequence, if there is one."""
        joined = self.members.pop(user_id, None)
        if joined is not None:
            self.ended.append((user_id, joined, sequence))


class MemoryLog:
    """The room log and the message service in one: ports.RoomLog, ports.Messages and placement.LogReader.

    `away` refuses reads; `hold` keeps entries back until `release`; `silent` answers nobody.
    """

    def __init__(self, tell: Callable[[Outcome], None] = lambda _outcome: None) -> None:
        self.tell = tell
        self.publish: Callable[[EventRecord], None] = lambda _event: None
        self.rooms: dict[int, LogRoom] = {}
        self.done: dict[tuple[int, int, bytes], tuple[bytes, Outcome]] = {}
        self.held: list[tuple[LogEntry, int]] = []
        self.away = self.hold = self.silent = self.copied = False
        self._numbers = itertools.count(1)

    def append(self, entry: LogEntry, correlation: int) -> None:
        """See ports.RoomLog."""
        if self.hold:
            self.held.append((entry, correlation))
        else:
            self._take(entry, correlation)

    def settle(self, correlation: int, *, known: bool) -> bool:
        """See ports.RoomLog; `copied` says what becomes of the next."""
        copied, self.copied = self.copied, False
        return copied

    async def append_all(self, rows: Sequence[OutboxEntry]) -> None:
        """See ports.Produce."""
        for row in rows:
            self.append(row.entry, row.correlation)

    def release(self) -> None:
        """Takes in what was held back, in order."""
        self.hold = False
        held, self.held = self.held, []
        for entry, correlation in held:
            self._take(entry, correlation)

    async def list_rooms(
        self, user_id: int, *, limit: int, before: tuple[int, int]
    ) -> tuple[list[RoomActivity], bool]:
        """See ports.Messages."""
        self._check()
        found = [a for a in self._of(user_id) if before == (0, 0) or (a.activity, a.room_id) < before]
        return found[:limit], len(found) > limit

    async def my_rooms(self, user_id: int, room_ids: Sequence[int]) -> dict[int, RoomActivity]:
        """See ports.Messages."""
        self._check()
        return {a.room_id: a for a in self._of(user_id) if a.room_id in room_ids}

    async def members_among(self, room_id: int, user_ids: Sequence[int]) -> set[int]:
        """See ports.Messages."""
        self._check()
        room = self.rooms.get(room_id)
        return set() if room is None else room.members.keys() & set(user_ids)

    async def heads(self, room_ids: Sequence[int]) -> dict[int, int]:
        """See ports.Messages."""
        self._check()
        return {r: len(self.rooms[r].events) for r in room_ids if r in self.rooms}

    async def lookup(self, keys: Sequence[RequestKey]) -> list[Outcome]:
        """See ports.Messages."""
        self._check()
        found = []
        for key in keys:
            known = self.done.get((key.entry.room_id, key.entry.sender_user_id, key.entry.request_key))
            if known is not None:
                found.append(_with(known[1], key.correlation, Disposition.DUPLICATE))
        return found

    async def all_rooms(self, user_ids: Sequence[int]) -> dict[int, UserRoomList]:
        """See placement.LogReader."""
        self._check()
        lists = {}
        for user_id in user_ids:
            rooms = [
                UserRoom(
                    room_id=a.room_id,
                    head_sequence=a.head_sequence,
                    joined_sequence=self.rooms[a.room_id].members[user_id],
                    activity=a.activity,
                )
                for a in self._of(user_id)
            ]
            lists[user_id] = UserRoomList.combined(rooms, self._ended_of(user_id))
        return lists

    def _ended_of(self, user_id: int) -> list[EndedMembership]:
        return [
            EndedMembership(room_id=room_id, joined_sequence=first, left_sequence=last)
            for room_id, room in self.rooms.items()
            for user, first, last in room.ended
            if user == user_id
        ]

    def _check(self) -> None:
        if self.away:
            raise BackendUnavailable("message")

    def _of(self, user_id: int) -> list[RoomActivity]:
        mine = [(room.activity, room_id) for room_id, room in self.rooms.items() if user_id in room.members]
        return [
            RoomActivity(room_id, len(self.rooms[room_id].events), 0, 0, activity, None)
            for activity, room_id in sorted(mine, reverse=True)
        ]

    def _take(self, entry: LogEntry, correlation: int) -> None:
        key = (entry.room_id, entry.sender_user_id, entry.request_key)
        known = self.done.get(key)
        if known is not None and known[0] != entry.body_hash:
            self._tell(_rejected(entry, correlation, "REQUEST_ID_REUSED"))
        elif known is not None:
            self._tell(_with(known[1], correlation, Disposition.DUPLICATE))
        else:
            self._commit(key, entry, correlation)

    def _commit(self, key: tuple[int, int, bytes], entry: LogEntry, correlation: int) -> None:
        room = self.rooms.setdefault(entry.room_id, LogRoom())
        if entry.sender_user_id and entry.sender_user_id not in room.members:
            self._tell(_rejected(entry, correlation, "NOT_A_MEMBER"))
            return
        event = RoomEvent.FromString(entry.event)
        if _changes_nothing(event, room):
            outcome = Outcome(correlation, Disposition.DUPLICATE, entry.room_id, len(room.events))
            self.done[key] = (entry.body_hash, outcome)
            self._tell(outcome)
            return
        event.sequence = len(room.events) + 1
        record = EventRecord(room_id=entry.room_id, sequence=event.sequence, event=event.SerializeToString())
        if event.HasField("member_joined"):
            room.members[event.member_joined.membership.user_id] = event.sequence
            record.joined_user_ids.append(event.member_joined.membership.user_id)
        elif event.HasField("member_left"):
            room.part(event.member_left.user_id, event.sequence)
            record.left_user_ids.append(event.member_left.user_id)
        room.events.append(record)
        room.activity = next(self._numbers)
        outcome = Outcome(
            correlation,
            Disposition.COMMITTED,
            entry.room_id,
            event.sequence,
            event.message_created.message.message_id,
            create_micros=1_767_225_600_000_000,
        )
        self.done[key] = (entry.body_hash, outcome)
        self.publish(record)
        self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        if not self.silent:
            self.tell(outcome)


def _changes_nothing(event: RoomEvent, room: LogRoom) -> bool:
    if event.HasField("member_joined"):
        return event.member_joined.membership.user_id in room.members
    return event.HasField("member_left") and event.member_left.user_id not in room.members


def _with(outcome: Outcome, correlation: int, disposition: Disposition) -> Outcome:
    return Outcome(
        correlation,
        disposition,
        outcome.room_id,
        outcome.sequence,
        outcome.message_id,
        outcome.create_micros,
    )


def _rejected(entry: LogEntry, correlation: int, reason: str) -> Outcome:
    return Outcome(correlation, Disposition.REJECTED, entry.room_id, reason=reason)
