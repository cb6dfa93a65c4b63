"""Instances of the sequencer on real Kafka, PostgreSQL and Redis, inside the test's process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from polychat.internal.log.v1.record_pb2 import LogRecord, OutcomeBatch
from pydantic import SecretStr

from chassis.kafka import PARTITIONS, key_of, partition_of
from chassis.postgres import Pool, open_pool
from chassis.redis import Publisher, Subscriber, chat_channel
from chassis.run import Process
from services.message.app import sequencing
from services.message.config import MessageSettings
from services.message.consumer import LogConsumer
from services.message.hints import Hints
from tests.support.eventually import eventually


@dataclass
class Outcomes:
    """What one chat instance is told, as it comes."""

    instance: str
    by_correlation: dict[int, list[Any]] = field(default_factory=dict)
    connected: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, _channel: str, payload: bytes) -> None:
        """For the subscriber."""
        for outcome in OutcomeBatch.FromString(payload).outcomes:
            self.by_correlation.setdefault(outcome.correlation, []).append(outcome)


@dataclass
class Log:
    """A room log of a test's own: topics, database, and what is needed to write to it and look."""

    settings: MessageSettings
    pool: Pool
    producer: AIOKafkaProducer
    outcomes: Outcomes

    async def put(self, record: LogRecord, correlation: int = 0) -> None:
        """Produces as chat does."""
        headers = [
            ("reply_to", self.outcomes.instance.encode()),
            ("correlation", correlation.to_bytes(8, "big")),
        ]
        await self.put_raw(record.room_id, record.SerializeToString(), headers if correlation else [])

    async def put_raw(self, room_id: int, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Produces any value under a room's key."""
        await self.producer.send_and_wait(
            self.settings.room_log_topic,
            value,
            key=key_of(room_id),
            partition=partition_of(room_id),
            headers=list(headers),
        )

    async def sequences(self, room_id: int) -> list[int]:
        """What is stored of a room."""
        rows = await self.pool.fetch("SELECT sequence FROM room_event WHERE room_id = $1 ORDER BY 1", room_id)
        return [row["sequence"] for row in rows]

    async def until_stored(self, room_id: int, count: int, seconds: float = 20.0) -> list[int]:
        """Waits until a room has that many events."""

        async def enough() -> list[int]:
            found = await self.sequences(room_id)
            return found if len(found) >= count else []

        return await eventually(enough, seconds=seconds, what=f"{count} events of room {room_id}")

    async def until_told(self, correlation: int, seconds: float = 10.0) -> Any:
        """Waits for the first outcome of a correlation."""

        async def told() -> list[Any]:
            return self.outcomes.by_correlation.get(correlation, [])

        return (await eventually(told, seconds=seconds, what=f"outcome {correlation}"))[0]

    @asynccontextmanager
    async def instance(self, name: str, hints: Hints | None = None) -> AsyncIterator[Running]:
        """Another instance of the service, ended in order when the block ends."""
        settings = self.settings.model_copy(update={"instance": name})
        process: Process[MessageSettings] = Process("message", settings)
        publisher = Publisher(settings.redis_url.get_secret_value())
        dsn = settings.postgres_dsn.get_secret_value()
        async with open_pool(dsn, size=2, application_name=name, lock_timeout_millis=200) as pool:
            told = hints or Hints(publisher, process.metrics)
            async with sequencing(settings, process, pool, told) as consumer:
                yield Running(process, consumer)
        await publisher.close()


@dataclass
class Running:
    """One instance."""

    process: Process[MessageSettings]
    consumer: LogConsumer

    async def until_working(self, count: int = PARTITIONS, seconds: float = 30.0) -> None:
        """Waits until it commits for exactly that many partitions."""

        async def working() -> bool:
            return len(self.consumer.ownership.working) == count

        await eventually(working, seconds=seconds, what=f"work on {count} partitions")


@asynccontextmanager
async def open_log(dsn: str, bootstrap: str, redis_url: str, folder: Path) -> AsyncIterator[Log]:
    """A new log, gone again when the block ends."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    secret = folder / "internal"
    secret.write_text("internal-secret-of-this-test")
    settings = MessageSettings.model_construct(
        instance="message-test",
        kafka_bootstrap=bootstrap,
        postgres_dsn=SecretStr(dsn),
        redis_url=SecretStr(redis_url),
        room_log_topic=f"{name}-log",
        dead_letter_topic=f"{name}-dead",
        consumer_group=name,
        consumer_session_seconds=6.0,
        consumer_poll_seconds=60.0,
        drain_seconds=5.0,
        internal_credential_file=secret,
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topics = [settings.room_log_topic, settings.dead_letter_topic]
    await admin.create_topics([NewTopic(topics[0], PARTITIONS, 1), NewTopic(topics[1], 1, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    outcomes = Outcomes(f"chat-{name}")
    subscriber = Subscriber(redis_url, outcomes.take, outcomes.connected.set)
    subscriber.subscribe([chat_channel(outcomes.instance)])
    listening = asyncio.create_task(subscriber.run())
    await asyncio.wait_for(outcomes.connected.wait(), 10)
    try:
        async with open_pool(dsn, size=2, application_name="test") as pool:
            yield Log(settings, pool, producer, outcomes)
    finally:
        listening.cancel()
        await producer.stop()
        await admin.delete_topics(topics)
        await admin.close()


async def first_record(bootstrap: str, topic: str) -> Any:
    """The first record of partition 0 of a topic, once it is there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return await asyncio.wait_for(consumer.getone(), 15)
    finally:
        await consumer.stop()
