"""Outbox rows on their way into the log, and until the log shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from chassis.errors import BackendUnavailable
from services.chat.outbox import OutboxRelay
from services.chat.ports import OutboxEntry
from tests.contract.chat.conftest import ANN, Stores, entering, leaving


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


async def test_of_the_lost_rows_about_a_user_the_last_goes_again(stores: Stores) -> None:
    """An older one could undo it, and is removed; one that waits is the last word, too."""
    topic = Topic()
    relay = OutboxRelay(stores.outbox, topic)
    room_id = await stores.made()
    for decide in (entering(room_id, 7), leaving(room_id, 7), entering(room_id, 8), leaving(room_id, 8)):
        await relay.drain(room_id)
        await stores.store.change(room_id, [7, 8], decide, stores.origin)
    assert await stores.kept.produce_again([room_id]) == 2
    assert [row for row in await stores.kept.produced(0.0, 10_000) if row.row.entry.room_id == room_id] == []
    await relay.drain(room_id)
    anns, _, went, _, *again = topic.of(room_id)
    assert again == [anns, went, again[-1]] == sorted(again)
