"""A record in the room log that is no event goes to the dead letters, and its room goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.kafka import DEAD_LETTER, ROOM_LOG, key_of, partition_of
from tests.support.api import Api, User
from tests.support.eventually import eventually
from tests.support.peer import Connect
from tests.support.stack import Stack

POISON = {
    "bytes": b"\xff\xfe\xfd",
    "nothing": b"",
    "no record": b"not a protobuf at all",
    "an empty record": LogRecord().SerializeToString(),
    "no event inside": LogRecord(
        request_id=b"x" * 16, body_hash=b"h" * 16, event=b"\xff"
    ).SerializeToString(),
    "a short request id": LogRecord(request_id=b"x", body_hash=b"h" * 16).SerializeToString(),
    "a megabyte": b"\x00" * 900_000,
}


@pytest_asyncio.fixture(scope="module")
async def producer(stack: Stack) -> AsyncIterator[AIOKafkaProducer]:
    """Writes to the room log past chat."""
    made = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all", max_request_size=2_000_000)
    await made.start()
    yield made
    await made.stop()


def _reason(stack: Stack, partition: int, offset: int) -> str:
    query = "SELECT reason FROM message.dead_letter WHERE partition = %s AND record_offset = %s"
    with psycopg.connect(stack.postgres_dsn) as connection:
        row = connection.execute(query, (partition, offset)).fetchone()
    return str(row[0]) if row else ""


@pytest.mark.parametrize("name", POISON)
async def test_a_poison_record_never_blocks_its_room(
    api: Api,
    stack: Stack,
    people: list[User],
    connect: Connect,
    producer: AIOKafkaProducer,
    name: str,
) -> None:
    """Stored as a dead letter with its offset and a reason; sends behind it are answered as ever."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    reader = await connect(bert)
    before = int((await api.send(anna, room, "before"))["sequence"])
    placed = await producer.send_and_wait(
        ROOM_LOG, POISON[name], key=key_of(room), partition=partition_of(room)
    )
    after = int((await api.send(anna, room, "after"))["sequence"])
    assert after == before + 1
    await reader.event(room, after)

    async def stored() -> str:
        return _reason(stack, placed.partition, placed.offset)

    assert await eventually(stored, what="the dead letter")
    assert [int(e["sequence"]) for e in await api.log(anna, room)] == list(range(1, after + 1))


async def test_a_dead_letter_is_in_its_topic_too(
    api: Api, stack: Stack, people: list[User], producer: AIOKafkaProducer
) -> None:
    """With the bytes as they were, and where they came from."""
    room = await api.create_room(people[0])
    junk = b"junk for " + str(room).encode()
    placed = await producer.send_and_wait(ROOM_LOG, junk, key=key_of(room), partition=partition_of(room))
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(DEAD_LETTER, 0)])
        await consumer.seek_to_beginning()
        found = await _find(consumer, junk)
    finally:
        await consumer.stop()
    text = json.dumps([(name, value.decode(errors="replace")) for name, value in found])
    assert str(placed.offset) in text


async def _find(consumer: AIOKafkaConsumer, value: bytes) -> list[tuple[str, bytes]]:
    async for record in consumer:
        if record.value == value:
            return list(record.headers)
    raise AssertionError("the consumer ended")
