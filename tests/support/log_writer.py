"""Writing into the room log past chat, and what the message service says of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.kafka import ROOM_LOG, key_of, partition_of
from tests.support.siblings import Sibling
from tests.support.stack import Stack

Place = tuple[int, int]
"""(partition, offset)"""
BIG_BYTES = 4 * 1024 * 1024


class LogWriter:
    """A producer that checks nothing."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def put(
        self,
        room_id: int,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Place:
        """Writes bytes where a record of the room belongs, or elsewhere. Raises KafkaError."""
        placed = await self._producer.send_and_wait(
            ROOM_LOG,
            value,
            key=key_of(room_id) if key is None else key,
            partition=partition_of(room_id) if partition is None else partition,
            headers=list(headers),
        )
        return placed.partition, placed.offset

    async def put_record(self, record: LogRecord) -> Place:
        """Writes a record as chat would, with nobody who waits for it."""
        return await self.put(record.room_id, record.SerializeToString())


@asynccontextmanager
async def log_writer(stack: Stack) -> AsyncIterator[LogWriter]:
    """Connected while the block lasts."""
    producer = AIOKafkaProducer(
        bootstrap_servers=stack.kafka_bootstrap, acks="all", max_request_size=BIG_BYTES
    )
    await producer.start()
    try:
        yield LogWriter(producer)
    finally:
        await producer.stop()


async def records_of(stack: Stack, room_id: int) -> list[Any]:
    """All records that the log holds of a room now, in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        tp = TopicPartition(ROOM_LOG, partition_of(room_id))
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        found = []
        while await consumer.position(tp) < end:
            found += (await consumer.getmany(tp, timeout_ms=1000)).get(tp, [])
    finally:
        await consumer.stop()
    return [record for record in found if record.key == key_of(room_id)]


@asynccontextmanager
async def larger_records(stack: Stack) -> AsyncIterator[None]:
    """The broker takes records of 4 MiB while the block lasts."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()

    async def allow(size: int) -> None:
        limit = {"max.message.bytes": str(size), "retention.ms": str(7 * 24 * 60 * 60 * 1000)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, ROOM_LOG, configs=limit)])

    try:
        await allow(BIG_BYTES)
        yield
        await allow(1024 * 1024)
    finally:
        await admin.close()


def dead_letters(stack: Stack, places: Sequence[Place]) -> dict[Place, str]:
    """Why each of these records is in the table of dead letters; those that are."""
    query = "SELECT partition, record_offset, reason FROM message.dead_letter"
    with psycopg.connect(stack.postgres_dsn) as connection:
        found = {(row[0], row[1]): str(row[2]) for row in connection.execute(query)}
    return {place: found[place] for place in places if place in found}


def count_dead_letters(stack: Stack) -> int:
    """All in the table."""
    with psycopg.connect(stack.postgres_dsn) as connection:
        row = connection.execute("SELECT count(*) FROM message.dead_letter").fetchone()
    return int(row[0]) if row else 0


def positions(stack: Stack) -> dict[int, int]:
    """By partition, the first offset that is not committed yet."""
    with psycopg.connect(stack.postgres_dsn) as connection:
        rows = connection.execute("SELECT partition, next_offset FROM message.log_position").fetchall()
    return {row[0]: row[1] for row in rows}


async def sample(stack: Stack, part: str | Sibling, name: str) -> float:
    """A metric of a process now: of the labels that `name` gives, or of all; nan while it does not answer."""
    ports = stack.state()["urls"]["metricsPorts"]
    port = part._metrics_port if isinstance(part, Sibling) else ports[part]
    async with httpx.AsyncClient(trust_env=False, timeout=1.0) as http:
        try:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        except httpx.TransportError:
            return float("nan")
    labels = "" if "{" in name else r"(?:\{[^}]*\})?"
    return sum(map(float, re.findall(rf"^{re.escape(name)}{labels} (\S+)$", text, re.MULTILINE)))
