"""What producers and consumers share: topics, how a room finds its partition, what a lost connection is,
how a producer ends."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerClosed
from aiokafka.partitioner import murmur2

from chassis import logs
from chassis.closed import closed_is_lost

ROOM_LOG = "room-log"
DEAD_LETTER = "room-log-dead-letter"
PARTITIONS = 24
"""Of `room-log`; fixed for its life, because a room's order is its partition's order."""

CLOSE_SECONDS = 2.0
"""A producer that ends has so long to be rid of what it holds."""

log = logs.get("kafka")


def key_of(room_id: int) -> bytes:
    """The record key of a room: its id in decimal."""
    return str(room_id).encode()


@lru_cache(maxsize=65_536)
def partition_of(room_id: int) -> int:
    """The partition of a room: Kafka's own default partitioner, so foreign producers agree."""
    return int(murmur2(key_of(room_id)) & 0x7FFFFFFF) % PARTITIONS


def lost_when_closed(client: AIOKafkaClient) -> None:
    """Lets a request that comes just after the end of its connection fail with KafkaConnectionError.

    aiokafka asks again after that one; any other error ends its fetching, or its asking for the brokers and
    their partitions, for good and without a word.
    """
    send, update = client.send, client._metadata_update  # noqa: SLF001 — it sends past client.send

    async def checked(*arguments: Any, **options: Any) -> Any:
        try:
            with closed_is_lost():
                return await send(*arguments, **options)
        except ConnectionResetError as error:
            raise KafkaConnectionError(str(error)) from error

    async def updated(*arguments: Any) -> bool:
        try:
            with closed_is_lost():
                return bool(await update(*arguments))
        except ConnectionResetError:
            return False  # as when no broker answers: asked again

    client.send, client._metadata_update = checked, updated  # noqa: SLF001


async def close(producer: AIOKafkaProducer) -> None:
    """Ends a producer. One that is stuck would flush without end: its connections are cut instead."""
    try:
        await asyncio.wait_for(producer.stop(), CLOSE_SECONDS)
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("producer_cut", error=repr(error))
        await producer.client.close()
        _cut(producer)


def _cut(producer: AIOKafkaProducer) -> None:
    sender = producer._sender.sender_task  # noqa: SLF001 — stop() is the only public way, and it waits
    if sender is not None:
        sender.cancel()
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 — frees who waits for a flush
