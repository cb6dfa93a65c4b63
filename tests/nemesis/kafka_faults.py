"""Faults in the room log itself: records that nobody of ours wrote, copies, and a stranger in the group."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.kafka import PARTITIONS, ROOM_LOG, key_of, partition_of
from tests.nemesis.fault import Fault, World
from tests.support.room_log import sent

POISON = (b"", b"\xff\xfe\xfd", b"no record", b"\x00" * 300_000, LogRecord().SerializeToString())
COPIED = 30
"""The last records of a partition that are written to it again."""
GROUP = "message"
STRANGER_USER = 1
"""No user has this id, so no room has this member."""
READ_SECONDS = 10.0


def kafka_faults() -> list[Fault]:
    """None of them may become an event of a room."""
    return [
        Fault("poison records", "kafka", _poison, weight=2),
        Fault("foreign records", "kafka", _foreign, weight=2),
        Fault("copied records", "kafka", _copies, weight=2),
        Fault("a stranger in the group", "kafka", _stranger, (1.0, 6.0)),
    ]


@asynccontextmanager
async def _producer(world: World) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=world.stack.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def _poison(world: World, _seconds: float, chance: random.Random) -> None:
    async with _producer(world) as producer:
        for room in world.swarm.rooms:
            value = chance.choice(POISON)
            await producer.send_and_wait(ROOM_LOG, value, key=key_of(room), partition=partition_of(room))
        await producer.send_and_wait(ROOM_LOG, b"\xff", key=None, partition=chance.randrange(PARTITIONS))


async def _foreign(world: World, _seconds: float, chance: random.Random) -> None:
    """Messages of somebody who is in no room, well formed, in the swarm's rooms and in one that is none."""
    async with _producer(world) as producer:
        for room in (*world.swarm.rooms, chance.getrandbits(62)):
            record = sent(room, STRANGER_USER, 0, "never said", chance.getrandbits(62))
            record.request_id = uuid.UUID(int=chance.getrandbits(128)).bytes
            value = record.SerializeToString()
            await producer.send_and_wait(ROOM_LOG, value, key=key_of(room), partition=partition_of(room))


async def _copies(world: World, _seconds: float, chance: random.Random) -> None:
    """Every partition's last records again, in another order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=world.stack.kafka_bootstrap)
    await consumer.start()
    try:
        records = await _last_records(consumer)
    finally:
        await consumer.stop()
    chance.shuffle(records)
    async with _producer(world) as producer:
        for record in records:
            place = {"key": record.key, "partition": record.partition, "headers": list(record.headers)}
            await producer.send_and_wait(ROOM_LOG, record.value, **place)


async def _last_records(consumer: AIOKafkaConsumer) -> list[Any]:
    partitions = [TopicPartition(ROOM_LOG, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, max(begins[partition], ends[partition] - COPIED))
    found: list[Any] = []
    async with asyncio.timeout(READ_SECONDS):
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
    return found


async def _stranger(world: World, seconds: float, _chance: random.Random) -> None:
    """Joins the group that numbers messages, is given partitions, does nothing with them, and leaves."""
    stranger = AIOKafkaConsumer(
        ROOM_LOG,
        bootstrap_servers=world.stack.kafka_bootstrap,
        group_id=GROUP,
        enable_auto_commit=False,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
    )
    await stranger.start()
    try:
        await asyncio.sleep(seconds)
    finally:
        await stranger.stop()
