"""Which partitions the client fetches, and from where. What the group has just taken away is no matter."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError

from chassis import logs

log = logs.get("message")


class Flow:
    """Stops and starts the partitions of the client that is in the group now."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.consumer: AIOKafkaConsumer | None = None
        """None between two clients."""

    def pause(self, partition: int) -> None:
        """Fetches nothing of it from now on."""
        self._quietly("pause", self._tp(partition))

    def hold(self, partition: int) -> None:
        """Pauses one that is new, at any offset: one without makes the client raise for all of them."""
        self.pause(partition)
        self._quietly("seek", self._tp(partition), 0)

    def read_from(self, partition: int, offset: int) -> None:
        """Fetches it from an offset on."""
        self._quietly("seek", self._tp(partition), offset)
        self._quietly("resume", self._tp(partition))

    def _quietly(self, verb: str, *arguments: object) -> None:
        if self.consumer is None:
            return
        try:
            getattr(self.consumer, verb)(*arguments)
        except IllegalStateError:
            log.debug("partition_gone", verb=verb)

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)
