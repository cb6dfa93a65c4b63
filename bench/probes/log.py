"""The sequencer-persister alone: it is stopped, the log is filled, and it works off what is there."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.probes.log_records import batched, records
from bench.results import Once, Repeat
from bench.world import World
from chassis.kafka import PARTITIONS, ROOM_LOG
from tests.support.api import Api, User
from tests.support.crowd_people import new_people, new_rooms
from tests.support.eventually import eventually

FULL = 100_000
ROOMS, MEMBERS = 200, 5
BATCH_BYTES = 512 * 1024
DONE_SECONDS = 300.0
QUIET_SECONDS = 30.0


@dataclass(frozen=True)
class _Place:
    """Rooms and who may write into them."""

    members: Mapping[int, Sequence[User]]
    database: asyncpg.Connection[Any]

    async def committed(self) -> int:
        """Records of the log that are in the database or were refused there."""
        query = "SELECT coalesce(sum(next_offset), 0)::bigint FROM message.log_position"
        return int(await self.database.fetchval(query))

    async def messages(self) -> int:
        """Of these rooms."""
        query = "SELECT sum(message_count)::bigint FROM message.room_head WHERE room_id = ANY($1)"
        return int(await self.database.fetchval(query, list(self.members)))


@asynccontextmanager
async def open_log(world: World) -> AsyncIterator[Once]:
    """The same rooms in every repeat, nobody connected."""
    owner, *people = await new_people(world.stack, ROOMS * MEMBERS + 1, "log")
    groups = [people[start : start + MEMBERS] for start in range(0, len(people), MEMBERS)]
    api = Api(world.stack.http_url)
    try:
        rooms = await new_rooms(api, owner, groups)
    finally:
        await api.close()
    database = await asyncpg.connect(world.stack.postgres_dsn, ssl=False)
    try:
        place = _Place(dict(zip(rooms, groups, strict=True)), database)
        yield lambda: _once(world, place)
    finally:
        await database.close()


async def _once(world: World, place: _Place) -> Repeat:
    count = world.options.scaled(FULL, 1_000)
    made = records(place.members, count)
    await eventually(
        lambda: _quiet(world, place), seconds=QUIET_SECONDS, what="the end of what is in the log"
    )
    committed, messages = await place.committed(), await place.messages()
    world.stack.kill("message", signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        await _produce(world, made)
    finally:
        before = world.cpu()
        began = time.monotonic()
        world.stack.kill("message", signal.SIGCONT)
    await eventually(
        lambda: _reached(place, committed + count), seconds=DONE_SECONDS, what=f"{count} records committed"
    )
    lasted = time.monotonic() - began
    after = world.cpu()
    parts = {part: (spent - before.get(part, 0.0)) * 1e6 / count for part, spent in after.items()}
    stored = await place.messages() - messages
    figures = {
        "eventsPerSecond": count / lasted,
        "microsPerEvent": sum(parts.values()),
        "events": float(count),
    }
    broken = [] if stored == count else [f"{stored} of {count} records became messages"]
    return Repeat(
        figures, parts, "microsPerEvent", broken, {"seconds": lasted, "stoppedSeconds": began - stopped}
    )


async def _quiet(world: World, place: _Place) -> bool:
    consumer = AIOKafkaConsumer(bootstrap_servers=world.stack.kafka_bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(ROOM_LOG, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return int(sum(ends.values())) == await place.committed()


async def _reached(place: _Place, end: int) -> bool:
    return await place.committed() >= end


async def _produce(world: World, made: Mapping[int, Sequence[tuple[bytes, bytes]]]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=world.stack.kafka_bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    try:
        sent = [
            await producer.send_batch(batch, ROOM_LOG, partition=partition)
            for partition, batch in batched(made, producer.create_batch)
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
