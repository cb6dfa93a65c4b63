"""chat's store and outbox on both of their stores."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from chassis.postgres import open_pool
from services.chat import domain
from services.chat.domain import Change, Crowd, NewRoom, Role, Room, RoomKind
from services.chat.memory import MemoryRoomStore
from services.chat.ports import Decide, KeptOutbox, Origin, Outbox, RoomStore
from services.chat.store import PostgresOutbox, PostgresRoomStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANN, BOB, EVE = 1, 2, 3


@dataclass
class Stores:
    """A store, its outbox, and a fresh id at every call."""

    store: RoomStore
    outbox: Outbox
    kept: KeptOutbox
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._ids = itertools.count(time.time_ns())
        self.origin = Origin("chat-1", itertools.count(1).__next__, lambda: uuid.uuid4().bytes)

    def id(self) -> int:
        return next(self._ids)

    def group(self, owner: int = ANN, kind: RoomKind = RoomKind.GROUP) -> NewRoom:
        return domain.new_room(Room(self.id(), kind, "Team", NOW, owner_user_id=owner), [owner])

    async def made(self, owner: int = ANN, kind: RoomKind = RoomKind.GROUP) -> int:
        new = self.group(owner, kind)
        made = await self.store.create_room(new, owner, uuid.uuid4().bytes, b"hash", self.origin)
        assert made is not None
        return made.room.room_id


@pytest.fixture(scope="module", params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    if request.param == "memory":
        memory = MemoryRoomStore(time.monotonic)
        yield Stores(memory, memory, memory, time.monotonic)
        return
    dsn = request.getfixturevalue("postgres_dsn")("chat")
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(dsn, size=8, application_name="test"))
        outbox = PostgresOutbox(pool)
        yield Stores(PostgresRoomStore(pool), outbox, outbox, time.monotonic)


def entering(room_id: int, user_id: int) -> Decide:
    """A rule that lets a user into the room, whatever its kind."""

    def decide(room: Room | None, crowd: Crowd) -> list[Change]:
        assert room is not None
        return domain.add_members(room, _as_owner(crowd), room_id, ANN, [user_id], NOW)

    return decide


def leaving(room_id: int, user_id: int) -> Decide:
    """A rule that lets a user out of the room."""

    def decide(room: Room | None, crowd: Crowd) -> list[Change]:
        return domain.leave(room, crowd, room_id, user_id)

    return decide


def _as_owner(crowd: Crowd) -> Crowd:
    owner = domain.Membership(0, ANN, Role.OWNER)
    return Crowd({**crowd.memberships, ANN: owner}, crowd.members, crowd.owners)
