"""The use cases of chat on memory stores and a room log in memory."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.log.v1.record_pb2 import EventRecord

from chassis.caller import Caller
from services.chat.events import MessageEncoder
from services.chat.memory import MemoryRoomStore
from services.chat.outbox import OutboxRelay
from services.chat.use_cases.changes import Changes
from services.chat.use_cases.limits import CHANGE_BURST, CHANGE_RATE, SendLimit
from services.chat.use_cases.members import MemberCache
from services.chat.use_cases.memberships import Memberships
from services.chat.use_cases.pending import Pending
from services.chat.use_cases.rooms import Rooms
from services.chat.use_cases.sending import Sending
from tests.support.chat_log import MemoryLog

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
            store=self.store,
            changes=self.changes,
            users=MemoryUsers(),
            now=self.time.today,
            limit=SendLimit(self.time, rate=CHANGE_RATE, burst=CHANGE_BURST),
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
