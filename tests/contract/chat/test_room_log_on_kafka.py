"""The producer loop and the relay on a real broker."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.kafka import PARTITIONS, partition_of
from chassis.postgres import open_pool
from services.chat import domain
from services.chat.domain import Change, Crowd, Room, RoomKind
from services.chat.outbox import OutboxRelay
from services.chat.ports import LogEntry, Origin
from services.chat.producers import KafkaProducers
from services.chat.room_log import KafkaRoomLog
from services.chat.store import PostgresOutbox, PostgresRoomStore
from tests.support.chat_world import running

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def topic(kafka_bootstrap: str) -> AsyncIterator[str]:
    """A topic of this run's own, with the partitions of the real one."""
    name = f"test-chat-{os.getpid()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        yield name
        await admin.delete_topics([name])
    finally:
        await admin.close()


@asynccontextmanager
async def reading(bootstrap: str, topic: str, partition: int) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition)])
        yield consumer
    finally:
        await consumer.stop()


def entry(room_id: int, number: int) -> LogEntry:
    return LogEntry(room_id, 9, number.to_bytes(16, "big"), b"h" * 16, b"e" * 100)


def numbers(records: list[LogRecord], room_id: int) -> list[int]:
    return [int.from_bytes(r.request_id, "big") for r in records if r.room_id == room_id]


async def test_entries_arrive_in_order_over_a_producer_that_breaks(kafka_bootstrap: str, topic: str) -> None:
    """It ends in the middle of its work. Records may arrive twice; the first arrivals of each room are
    in order and none is missing."""
    source = Cutting(kafka_bootstrap)
    log = KafkaRoomLog(source, topic=topic, reply_to="chat-1")
    rooms = [room_id for room_id in range(1, 1000) if partition_of(room_id) == 5][:2]
    found: list[LogRecord] = []
    async with running(log.run), reading(kafka_bootstrap, topic, 5) as consumer, asyncio.timeout(60):
        for number in range(1, 1001):
            for room_id in rooms:
                log.append(entry(room_id, number), number)
            if number == 300:
                found.append(LogRecord.FromString((await consumer.getone()).value))
                await source.cut()
        while not all(1000 in numbers(found, room_id) for room_id in rooms):
            found.append(LogRecord.FromString((await consumer.getone()).value))
    assert source.opened >= 2
    for room_id in rooms:
        assert list(dict.fromkeys(numbers(found, room_id))) == list(range(1, 1001))


class Cutting(KafkaProducers):
    """Can end the producer under the loop, as a broken client would."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap, "test-chat")
        self.opened = 0
        self._current: AIOKafkaProducer | None = None

    async def open(self) -> AIOKafkaProducer:
        self.opened += 1
        self._current = await super().open()
        return self._current

    async def cut(self) -> None:
        """Takes the connections and the sender away."""
        assert self._current is not None
        await super().close(self._current)


async def test_the_relay_moves_rows_from_postgres_to_kafka(
    kafka_bootstrap: str, topic: str, postgres_dsn: Callable[[str], str]
) -> None:
    """In their order, each with the headers of who wrote it; the outbox is empty after."""
    room_id = next(r for r in range(10_000, 20_000) if partition_of(r) == 6)
    origin = Origin("chat-7", iter(range(1, 100)).__next__, lambda: uuid.uuid4().bytes)

    def decide(room: Room | None, crowd: Crowd) -> list[Change]:
        return domain.add_members(room, crowd, room_id, 1, [2, 3, 4], NOW)

    log = KafkaRoomLog(KafkaProducers(kafka_bootstrap, "test-chat"), topic=topic, reply_to="chat-1")
    async with (
        open_pool(postgres_dsn("chat"), size=4, application_name="test") as pool,
        running(log.run),
        reading(kafka_bootstrap, topic, 6) as consumer,
    ):
        store, outbox = PostgresRoomStore(pool), PostgresOutbox(pool)
        room = Room(room_id, RoomKind.GROUP, "Team", NOW, owner_user_id=1)
        made = await store.create_room(domain.new_room(room, [1]), 1, uuid.uuid4().bytes, b"h", origin)
        changed = await store.change(room_id, [1, 2, 3, 4], decide, origin)
        assert made is not None
        await OutboxRelay(outbox, log.append_all).drain(room_id)
        assert await outbox.depth() == 0
        found = [await consumer.getone() for _ in range(4)]
    written = [*made.entries, *changed.entries]
    assert [LogRecord.FromString(r.value).request_id for r in found] == [w.entry.request_key for w in written]
    assert [dict(r.headers)["correlation"] for r in found] == [n.to_bytes(8, "big") for n in range(1, 5)]
    assert {dict(r.headers)["reply_to"] for r in found} == {b"chat-7"}
    assert {r.key for r in found} == {str(room_id).encode()}


async def test_a_producer_without_a_broker_is_closed_in_time() -> None:
    """Opening fails, nothing hangs and nothing is left behind."""
    log = KafkaRoomLog(KafkaProducers("127.0.0.1:9", "test-chat"), topic="none", reply_to="chat-1")
    async with asyncio.timeout(20), running(log.run):
        await asyncio.sleep(0)
        assert log.problem() is not None
