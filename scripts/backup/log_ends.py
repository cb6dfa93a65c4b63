"""Where the room log in Kafka ends."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from chassis.kafka import PARTITIONS, ROOM_LOG
from scripts.stack.errors import StackError

ANSWER_SECONDS = 30.0


async def log_ends(bootstrap: str) -> dict[int, int]:
    """The offset after the last record of each partition. Raises StackError."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await consumer.start()
            ends = await consumer.end_offsets([TopicPartition(ROOM_LOG, n) for n in range(PARTITIONS)])
    except (KafkaError, TimeoutError) as error:
        raise StackError(f"Could not ask Kafka at {bootstrap} for the ends of its log: {error!r}") from error
    finally:
        await consumer.stop()
    return {partition.partition: end for partition, end in ends.items()}
