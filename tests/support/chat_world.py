"""chat on memory stores, with a room log that behaves: it numbers, refuses repeats and strangers, answers."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.log.v1.log_read_service_pb2 import UserRoom
from polychat.internal.log.v1.record_pb2 import EventRecord

from chassis.caller import Caller
from chassis.errors import BackendUnavailable
from services.chat.events import MessageEncoder
from services.chat.memory import MemoryRoomStore
from services.chat.outbox import OutboxRelay
from services.chat.peers import UserRoomList
from services.chat.ports import (
    Disposition,
    LogEntry,
    OutboxEntry,
    Outcome,
    RequestKey,
    RoomActivity,
)
from services.chat.use_cases.changes import Changes
from services.chat.use_cases.limits import SendLimit
from services.chat.use_cases.members import MemberCache
from services.chat.use_cases.memberships import Memberships
from services.chat.use_cases.pending import Pending
from services.chat.use_cases.rooms import Rooms
from services.chat.use_cases.sending import Sending

START = datetime(2026, 1, 1, tzinfo=UTC)


class Time:
    """A clock that moves when it is told to, and a sleep that moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def today(self) -> datetime:
        """The time of day."""
        return START + timedelta(seconds=self.now)

    async def sleep(self, seconds: float) -> None:
        """Lets the others run, and the time pass."""
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class LogRoom:
    """One room in the log."""

    events: list[EventRecord] = field(default_factory=list)
    members: dict[int, int] = field(default_factory=dict)
    activity: int = 0


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
        self.away = self.hold = self.silent = False
        self._numbers = itertools.count(1)

    def append(self, entry: LogEntry, correlation: int) -> None:
        """See ports.RoomLog."""
        if self.hold:
            self.held.append((entry, correlation))
        else:
            self._take(entry, correlation)

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
            heads = {room.room_id: room.head_sequence for room in rooms}
            lists[user_id] = UserRoomList(rooms, False, heads, {r.room_id: r.joined_sequence for r in rooms})
        return lists

    async def events_at(self, places: Sequence[tuple[int, int]]) -> list[EventRecord]:
        """See placement.LogReader."""
        self._check()
        return [self.rooms[room_id].events[sequence - 1] for room_id, sequence in places]

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
        event.sequence = len(room.events) + 1
        record = EventRecord(room_id=entry.room_id, sequence=event.sequence, event=event.SerializeToString())
        if event.HasField("member_joined"):
            room.members[event.member_joined.membership.user_id] = event.sequence
            record.joined_user_ids.append(event.member_joined.membership.user_id)
        elif event.HasField("member_left"):
            room.members.pop(event.member_left.user_id, None)
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


class MemoryUsers:
    """Knows users up to 999 (ports.Users)."""

    async def missing(self, _caller: Caller, user_ids: Sequence[int]) -> list[int]:
        """See ports.Users."""
        return [user_id for user_id in user_ids if user_id > 999]


def caller(user_id: int) -> Caller:
    """A user who calls."""
    return Caller(user_id, 10_000 + user_id, f"token-{user_id}", 2_000_000_000.0)


class World:
    """The use cases of one chat instance over memory."""

    def __init__(self, *, rate: float = 50.0, burst: int = 200, pending_limit: int = 10_000) -> None:
        self.time = Time()
        self.ids = itertools.count(5_000_000_000)
        self.store = MemoryRoomStore(self.time)
        self.pending = Pending(self.time, first=100, limit=pending_limit)
        self.log = MemoryLog(self.pending.resolve)
        self.members = MemberCache(self.store.memberships, self.time)
        self.relay = OutboxRelay(self.store, self.log.append_all)
        self.limit = SendLimit(self.time, rate=rate, burst=burst)
        self.sending = Sending(
            members=self.members,
            limit=self.limit,
            encoder=MessageEncoder(),
            log=self.log,
            pending=self.pending,
            new_id=self.new_id,
            clock=self.time,
        )
        self.changes = Changes(
            instance="chat-1",
            new_request_key=lambda: uuid.uuid4().bytes,
            pending=self.pending,
            relay=self.relay,
            messages=self.log,
            members=self.members,
            clock=self.time,
            sleep=self.time.sleep,
        )
        self.rooms = Rooms(
            store=self.store,
            changes=self.changes,
            messages=self.log,
            users=MemoryUsers(),
            new_id=self.new_id,
            now=self.time.today,
        )
        self.memberships = Memberships(
            store=self.store, changes=self.changes, users=MemoryUsers(), now=self.time.today
        )

    def new_id(self) -> int:
        """A new id."""
        return next(self.ids)

    def kinds(self, room_id: int) -> list[str]:
        """What happened in a room, in its order."""
        events = self.log.rooms[room_id].events if room_id in self.log.rooms else []
        return [RoomEvent.FromString(e.event).WhichOneof("payload") or "" for e in events]


@asynccontextmanager
async def running(*loops: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs endless coroutines as long as the block; one that fails fails the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop()) for loop in loops]
        yield
        for task in tasks:
            task.cancel()


async def settle(rounds: int = 20) -> None:
    """Lets everything that is ready run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def texts(events: Iterable[EventRecord]) -> list[str]:
    """The texts of the messages among the events."""
    return [RoomEvent.FromString(event.event).message_created.message.text for event in events]
