"""Parts that lose what they had stored: nothing that was answered may be only there."""

from __future__ import annotations

import asyncio
import random

from aiokafka.admin import AIOKafkaAdminClient

from chassis.kafka import ROOM_LOG
from scripts.stack.provision_kafka import provision_kafka
from tests.nemesis.fault import RETURN_SECONDS, Fault, Inject, World
from tests.support.emptied import killed_and_emptied


def loss_faults() -> list[Fault]:
    """Kafka's log is a queue, and the others hold no copy that counts (docs/reliability.md)."""
    return [
        Fault("empty redis", "redis", _emptied("redis")),
        Fault("empty consul", "consul", _emptied("consul")),
        Fault("empty kafka", "kafka", _emptied("kafka")),
        Fault("delete the room log", "kafka", _delete_topic, (0.0, 8.0)),
    ]


def _emptied(part: str) -> Inject:
    async def empty(world: World, _seconds: float, _chance: random.Random) -> None:
        pid = killed_and_emptied(world.stack, part)
        await world.stack.back(part, pid, RETURN_SECONDS)

    return empty


async def _delete_topic(world: World, seconds: float, _chance: random.Random) -> None:
    """Making it again is the operator's."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.stack.kafka_bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([ROOM_LOG])
        await asyncio.sleep(seconds)
    finally:
        await admin.close()
        await provision_kafka(world.stack.kafka_bootstrap)
