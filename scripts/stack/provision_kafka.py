"""The topics: made when missing, and checked, because a room's order hangs on the number of partitions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from chassis.kafka import DEAD_LETTER, PARTITIONS, ROOM_LOG
from scripts.stack.errors import StackError

DAY_MILLISECONDS = 24 * 60 * 60 * 1000
TOPIC_ALREADY_EXISTS = 36
MOST_REPLICAS = 3
SHOWN_SECONDS = 30.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    partitions: int
    retention_days: int
    max_message_bytes: int = 1024 * 1024

    def settings(self, replicas: int) -> dict[str, str]:
        """Of three replicas two have what is acknowledged: the loss of a broker takes none of it."""
        return {
            "retention.ms": str(self.retention_days * DAY_MILLISECONDS),
            "max.message.bytes": str(self.max_message_bytes),
            "min.insync.replicas": str(max(1, replicas - 1)),
        }


TOPICS = (
    Topic(ROOM_LOG, PARTITIONS, retention_days=7),
    Topic(DEAD_LETTER, partitions=1, retention_days=30),
)


async def provision_kafka(bootstrap: str) -> None:
    """Make the topics that are missing and wait until the brokers show them.

    Raises StackError for a topic with another number of partitions: a key would move to another partition,
    and with it the order of a room.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        await _create(admin)
        async with asyncio.timeout(SHOWN_SECONDS):
            for topic in TOPICS:
                check_partitions(topic, await _shown_partitions(admin, topic))
    except TimeoutError:
        raise StackError(
            f"Kafka took the topics but does not show them after {SHOWN_SECONDS:.0f} s."
        ) from None
    except KafkaError as error:
        raise StackError(f"Could not make the topics: {error}") from error
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient) -> None:
    replicas = min(len((await admin.describe_cluster())["brokers"]), MOST_REPLICAS)
    wanted = [
        NewTopic(
            topic.name,
            topic.partitions,
            replicas,
            topic_configs=topic.settings(replicas),
        )
        for topic in TOPICS
    ]
    answer = await admin.create_topics(wanted)
    # The client raises nothing for an error that concerns one topic only.
    for name, code, *reason in answer.topic_errors:
        if code not in (0, TOPIC_ALREADY_EXISTS):
            raise StackError(f"Kafka refused the topic {name}: error {code} {reason[0] if reason else ''}")


async def _shown_partitions(admin: AIOKafkaAdminClient, topic: Topic) -> int:
    """The number of partitions of `topic`, once all have a leader; creating returns before that."""
    while True:
        (shown,) = await admin.describe_topics([topic.name])
        partitions = shown["partitions"]
        if partitions and all(partition["leader"] >= 0 for partition in partitions):
            return len(partitions)
        await asyncio.sleep(POLL_SECONDS)


def check_partitions(topic: Topic, found: int) -> None:
    """Raise StackError when the topic was made with another number of partitions than this version needs."""
    if found != topic.partitions:
        raise StackError(
            f"The topic {topic.name} has {found} partitions and needs {topic.partitions}. When nothing in "
            "it is needed, delete the topic and start again; otherwise use another cluster "
            "(POLYCHAT_KAFKA_BOOTSTRAP) or another --data."
        )
