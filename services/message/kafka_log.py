"""The Kafka client of the sequencer: every wait and every buffer bounded, no position of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.kafka import lost_when_closed
from services.message.config import MessageSettings
from services.message.fetched import LogEnds

MAX_RECORDS = 500
"""Of one transaction."""
FETCH_BYTES = 8 * 1024 * 1024
"""Prefetched at the most, whatever waits in the log."""
OFFSETS_SECONDS = 5.0
METADATA_SECONDS = 10.0


def log_client(settings: MessageSettings) -> AIOKafkaConsumer:
    """A consumer that commits nothing by itself and never chooses an offset by itself."""
    session_millis = int(settings.consumer_session_seconds * 1000)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap,
        client_id=settings.instance,
        group_id=settings.consumer_group,
        # A static member (KIP-345): the same instance started again takes its partitions back at once,
        # where a new member would wait until the group has missed the old one's heartbeats.
        group_instance_id=settings.instance,
        enable_auto_commit=False,
        auto_offset_reset="none",
        session_timeout_ms=session_millis,
        heartbeat_interval_ms=session_millis // 6,
        max_poll_interval_ms=int(settings.consumer_poll_seconds * 1000),
        metadata_max_age_ms=int(METADATA_SECONDS * 1000),
        request_timeout_ms=15_000,
        fetch_max_bytes=FETCH_BYTES,
        max_poll_records=MAX_RECORDS,
    )
    lost_when_closed(consumer._client)  # noqa: SLF001 — the consumer gives no other way to it
    return consumer


async def close(consumer: AIOKafkaConsumer, *, hand_over: bool) -> None:
    """Ends a client. `hand_over`: the group gives its partitions to the others now, and not only when they
    are still not worked on after the session timeout, which is how a static member ends."""
    if hand_over:
        consumer._coordinator._group_instance_id = None  # noqa: SLF001 — static members are not let leave
    await consumer.stop()


async def log_ends(consumer: AIOKafkaConsumer, topic: str, partitions: Sequence[int]) -> dict[int, LogEnds]:
    """Which offsets partitions hold. Raises KafkaError, TimeoutError."""
    topic_partitions = [TopicPartition(topic, partition) for partition in partitions]
    async with asyncio.timeout(OFFSETS_SECONDS):
        begins = await consumer.beginning_offsets(topic_partitions)
        ends = await consumer.end_offsets(topic_partitions)
    return {tp.partition: LogEnds(begins[tp], ends[tp]) for tp in topic_partitions}


async def first_after(consumer: AIOKafkaConsumer, topic: str, millis: Mapping[int, int]) -> dict[int, int]:
    """By partition, the offset of the first record made after a time; the log's end when there is none.

    Raises KafkaError, TimeoutError.
    """
    tps = {TopicPartition(topic, partition): after + 1 for partition, after in millis.items()}
    async with asyncio.timeout(OFFSETS_SECONDS):
        ends = await consumer.end_offsets(list(tps))
        found = await consumer.offsets_for_times(tps)
    return {tp.partition: ends[tp] if found[tp] is None else found[tp].offset for tp in tps}
