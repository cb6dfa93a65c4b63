"""Rooms, memberships and the outbox: the same promises in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from polychat.event.v1.room_event_pb2 import RoomEvent

from chassis.errors import BackendUnavailable, Failure
from chassis.postgres import open_pool
from services.chat import domain
from services.chat.domain import Change, Crowd, NewRoom, Role, Room, RoomKind, State
from services.chat.memory import MemoryRoomStore
from services.chat.outbox import OutboxRelay
from services.chat.ports import Decide, KeptOutbox, Origin, Outbox, OutboxEntry, RoomStore
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


def _as_owner(crowd: Crowd) -> Crowd:
    owner = domain.Membership(0, ANN, Role.OWNER)
    return Crowd({**crowd.memberships, ANN: owner}, crowd.members, crowd.owners)


async def test_a_room_comes_back_as_it_was_made(stores: Stores) -> None:
    """With its owner's membership and one row in the outbox."""
    new = stores.group()
    made = await stores.store.create_room(new, ANN, uuid.uuid4().bytes, b"hash", stores.origin)
    assert made is not None
    assert await stores.store.room(new.room.room_id) == new.room
    (listed,) = await stores.store.list_memberships(new.room.room_id, 0, 10)
    assert (listed.user_id, listed.role, listed.state, listed.join_time) == (
        ANN,
        Role.OWNER,
        State.JOINED,
        NOW,
    )
    (row,) = made.entries
    assert (row.entry.room_id, row.entry.sender_user_id, row.reply_to) == (new.room.room_id, 0, "chat-1")


async def test_a_request_id_makes_one_room_for_ever(stores: Stores) -> None:
    """Twenty at once and one later: one room, written once; another body is refused."""
    key = uuid.uuid4().bytes
    made = await asyncio.gather(
        *(stores.store.create_room(stores.group(), ANN, key, b"hash", stores.origin) for _ in range(20))
    )
    assert len({m.room.room_id for m in made if m is not None}) == 1
    assert sum(bool(m.entries) for m in made if m is not None) == 1
    assert all(m is not None and m.memberships[ANN].joined for m in made)
    assert await stores.store.create_room(stores.group(), ANN, key, b"other", stores.origin) is None
    other = await stores.store.create_room(stores.group(BOB), BOB, key, b"hash", stores.origin)
    assert other is not None
    assert other.entries


async def test_twenty_opens_from_both_sides_make_one_room(stores: Stores) -> None:
    """The pair is a constraint, not a check; the losers get the winner's room and write nothing."""
    low, high = stores.id(), stores.id()

    def new() -> NewRoom:
        room = Room(stores.id(), RoomKind.DIRECT, "", NOW, direct_users=(low, high))
        return domain.new_room(room, [low, high])

    opened = await asyncio.gather(*(stores.store.open_direct_room(new(), stores.origin) for _ in range(20)))
    assert len({o.room.room_id for o in opened}) == 1
    assert sorted(len(o.entries) for o in opened) == [0] * 19 + [2]
    assert {o.room.direct_users for o in opened} == {(low, high)}
    room_id = opened[0].room.room_id
    assert len(await stores.store.list_memberships(room_id, 0, 10)) == 2
    assert (await stores.store.rooms([room_id]))[room_id].direct_users == (low, high)


async def test_a_refused_change_leaves_nothing_behind(stores: Stores) -> None:
    """The rule sees the locked room; what it raises ends the transaction."""
    room_id = await stores.made()
    depth = await stores.outbox.depth()

    def refuse(room: Room | None, crowd: Crowd) -> list[Change]:
        assert room is not None
        assert (room.room_id, crowd.members, crowd.owners) == (room_id, 1, 1)
        return domain.leave(room, Crowd(crowd.memberships, 2, 1), room_id, ANN)

    with pytest.raises(Failure) as raised:
        await stores.store.change(room_id, [ANN], refuse, stores.origin)
    assert raised.value.reason == "LAST_OWNER"
    assert await stores.outbox.depth() == depth
    assert (await stores.store.memberships([(room_id, ANN)]))[(room_id, ANN)].joined


async def test_a_change_of_a_room_that_is_not_there_is_the_rules_to_refuse(stores: Stores) -> None:
    """It is asked without a room."""

    def decide(room: Room | None, crowd: Crowd) -> list[Change]:
        return domain.leave(room, crowd, 5, EVE)

    with pytest.raises(Failure, match="not a member"):
        await stores.store.change(5, [EVE], decide, stores.origin)


async def test_concurrent_changes_of_a_room_take_turns(stores: Stores) -> None:
    """Twenty joins of one user write one membership and one event."""
    room_id = await stores.made()
    changed = await asyncio.gather(
        *(stores.store.change(room_id, [BOB], entering(room_id, BOB), stores.origin) for _ in range(20))
    )
    assert sum(len(c.entries) for c in changed) == 1
    assert all(c.memberships[BOB].joined for c in changed)


async def test_members_are_listed_in_the_order_they_came(stores: Stores) -> None:
    """Page by page; who leaves is gone from the list and comes back at its end."""
    room_id = await stores.made()
    for user_id in (BOB, EVE, 4):
        await stores.store.change(room_id, [user_id], entering(room_id, user_id), stores.origin)

    def leaving(room: Room | None, crowd: Crowd) -> list[Change]:
        return domain.leave(room, crowd, room_id, BOB)

    await stores.store.change(room_id, [BOB], leaving, stores.origin)
    assert [m.user_id for m in await stores.store.list_memberships(room_id, 0, 10)] == [ANN, EVE, 4]
    back = await stores.store.change(room_id, [BOB], entering(room_id, BOB), stores.origin)
    assert back.memberships[BOB].version == 3
    seen, after = [], 0
    while page := await stores.store.list_memberships(room_id, after, 3):
        seen += [m.user_id for m in page]
        after = page[-1].join_number
    assert seen == [ANN, EVE, 4, BOB]


async def test_public_rooms_are_listed_the_newest_first(stores: Stores) -> None:
    """Groups are not; the page starts below the id that is given."""
    public = [await stores.made(kind=RoomKind.PUBLIC) for _ in range(3)]
    await stores.made()
    newest = await stores.store.public_rooms(2**63 - 1, 2)
    assert [room.room_id for room in newest] == [public[2], public[1]]
    assert (await stores.store.public_rooms(public[1], 1))[0].room_id == public[0]


class Topic:
    """Where a relay produces to; may fail after it has taken rows, as a crash would."""

    def __init__(self) -> None:
        self.rows: list[OutboxEntry] = []
        self.crashes = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, rows: Sequence[OutboxEntry]) -> None:
        await self.gate.wait()
        self.rows += rows
        if self.crashes:
            self.crashes -= 1
            raise BackendUnavailable("kafka")

    def of(self, room_id: int) -> list[int]:
        return [row.outbox_id for row in self.rows if row.entry.room_id == room_id]


async def test_rows_reach_the_log_in_the_order_of_the_commits(stores: Stores) -> None:
    """Twenty writers and their relays at once: each row once, ascending, the outbox empty."""
    topic = Topic()
    relays = [OutboxRelay(stores.outbox, topic) for _ in range(3)]
    room_id = await stores.made()

    async def write(number: int) -> int:
        user_id = 100 + number
        changed = await stores.store.change(room_id, [user_id], entering(room_id, user_id), stores.origin)
        await relays[number % 3].drain(room_id)
        (row,) = changed.entries
        assert row.outbox_id in topic.of(room_id)
        return row.outbox_id

    written = await asyncio.gather(*(write(number) for number in range(20)))
    assert len(topic.of(room_id)) == 21
    assert topic.of(room_id) == sorted(topic.of(room_id))
    assert topic.of(room_id)[1:] == sorted(written)
    for relay in relays:
        await relay.drain(room_id)
    assert len(topic.of(room_id)) == 21


async def test_a_crash_between_produce_and_delete_repeats_the_record(stores: Stores) -> None:
    """The repeat is the same record, request id and all, so it is one event (I2)."""
    topic = Topic()
    topic.crashes = 1
    room_id = await stores.made()
    relay = OutboxRelay(stores.outbox, topic)
    with pytest.raises(BackendUnavailable):
        await relay.drain(room_id)
    await relay.drain(room_id)
    first, second = (row for row in topic.rows if row.entry.room_id == room_id)
    assert first == second


async def test_a_drain_that_takes_too_long_gives_the_rows_back(stores: Stores) -> None:
    """Nothing is lost and no transaction stays open for ever."""
    topic = Topic()
    topic.gate.clear()
    room_id = await stores.made()
    relay = OutboxRelay(stores.outbox, topic, produce_seconds=0.05)
    with pytest.raises(BackendUnavailable):
        await relay.drain(room_id)
    topic.gate.set()
    await relay.drain(room_id)
    assert len(topic.of(room_id)) == 1


async def test_the_sweep_moves_what_a_dead_writer_left(stores: Stores) -> None:
    """Rows that are old, and only those, are anybody's to move."""
    topic = Topic()
    room_id = await stores.made()
    assert room_id not in await stores.outbox.stale_rooms(60.0, 1000)
    assert room_id in await stores.outbox.stale_rooms(-1.0, 1000)
    await OutboxRelay(stores.outbox, topic).drain(room_id)
    assert room_id not in await stores.outbox.stale_rooms(-1.0, 1000)


async def test_produced_rows_are_kept_until_they_are_confirmed(stores: Stores) -> None:
    """With whom they are about; they neither wait nor are produced again by themselves."""
    topic = Topic()
    relay = OutboxRelay(stores.outbox, topic)
    room_id = await stores.made()
    await stores.store.change(room_id, [7], entering(room_id, 7), stores.origin)
    assert [row for row in await stores.kept.produced(0.0, 10_000) if row.row.entry.room_id == room_id] == []
    await relay.drain(room_id)
    await relay.drain(room_id)
    assert await stores.kept.produced(60.0, 10_000) == []
    kept = [row for row in await stores.kept.produced(0.0, 10_000) if row.row.entry.room_id == room_id]
    assert [row.user_id for row in kept] == [ANN, 7]
    assert [row.row for row in kept] == [row for row in topic.rows if row.entry.room_id == room_id]
    await stores.kept.confirm([kept[0].row.outbox_id])
    kept = [row for row in await stores.kept.produced(0.0, 10_000) if row.row.entry.room_id == room_id]
    assert [row.user_id for row in kept] == [7]


async def test_rows_that_were_lost_go_again_before_those_that_wait(stores: Stores) -> None:
    """In the order of the commits, as they were."""
    topic = Topic()
    relay = OutboxRelay(stores.outbox, topic)
    room_id = await stores.made()
    await relay.drain(room_id)
    await stores.store.change(room_id, [7], entering(room_id, 7), stores.origin)
    assert await stores.kept.produce_again([room_id]) == 1
    await relay.drain(room_id)
    first, again, second = topic.of(room_id)
    assert first == again < second
    assert room_id not in await stores.outbox.stale_rooms(-1.0, 1000)


async def test_an_event_names_the_room_for_newcomers(stores: Stores) -> None:
    """A memberJoined carries the room as the newcomer sees it."""
    low, high = stores.id(), stores.id()
    room = Room(stores.id(), RoomKind.DIRECT, "", NOW, direct_users=(low, high))
    opened = await stores.store.open_direct_room(domain.new_room(room, [low, high]), stores.origin)
    events = [RoomEvent.FromString(row.entry.event) for row in opened.entries]
    assert [e.member_joined.room.direct_user_id for e in events] == [high, low]
    assert [e.member_joined.membership.user_id for e in events] == [low, high]
