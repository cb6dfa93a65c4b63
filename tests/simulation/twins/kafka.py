"""Kafka in memory: a log for each partition, and producers that repeat what was not acknowledged.

As with the real one a repeated request of one producer is appended once, a request may be appended whose
producer never hears of it, and what a killed or closed producer had on the wire still arrives.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, OutOfOrderSequenceNumber

from chassis.kafka import PARTITIONS
from tests.simulation.faults import Faults
from tests.simulation.loop import Node, current_node
from tests.simulation.network import Network

NAME = "kafka"
AWAY_SECONDS = 0.5
RETRY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Appended:
    """A record in the log, as aiokafka gives it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A record of a batch."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class Broker:
    """The log itself. What is appended is never lost."""

    def __init__(self, network: Network, faults: Faults) -> None:
        self.network = network
        self.faults = faults
        self.node = Node(NAME, 1, network.loop)
        self.up = True
        self.logs: list[list[Appended]] = [[] for _ in range(PARTITIONS)]
        self.on_append: Callable[[int], None] = lambda _partition: None
        self.producers = itertools.count(1)
        self._seen: set[tuple[int, int, int]] = set()

    def reaches(self, node: Node) -> bool:
        """Whether a process can talk to it now."""
        network = self.network
        return self.up and not network.blocked(node, self.node) and not network.blocked(self.node, node)

    async def ask(self, node: Node, work: Callable[[], Any]) -> Any:
        """A round trip. Raises KafkaConnectionError."""
        if not self.reaches(node):
            await asyncio.sleep(AWAY_SECONDS)
            raise KafkaConnectionError("the broker does not answer")
        return await self.network.call(node, work)

    def append(self, producer: int, partition: int, number: int, drafts: Sequence[Draft]) -> None:
        """Appends a batch, unless this producer's batch of this number is there already."""
        if (producer, partition, number) in self._seen:
            return
        self._seen.add((producer, partition, number))
        log = self.logs[partition]
        now = int(self.network.loop.time() * 1000)
        for draft in drafts:
            log.append(Appended(len(log), now, draft.key, draft.value, draft.headers))
        self.network.loop.note("append", partition, len(log))
        self.on_append(partition)


class Batch:
    """Of aiokafka's BatchBuilder what is used."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def append(self, *, timestamp: int | None, key: bytes, value: bytes, headers: Sequence[Any]) -> object:
        """Adds a record; None when it is full."""
        if len(self.drafts) >= 100:
            return None
        self.drafts.append(Draft(key, value, tuple(headers)))
        return self


class Producer:
    """An idempotent producer, which repeats without end until it is closed."""

    def __init__(self, broker: Broker, node: Node) -> None:
        self._broker = broker
        self._node = node
        self._id = next(broker.producers)
        self._number = itertools.count()
        self.closed = False

    def create_batch(self) -> Batch:
        """See room_log.Producer."""
        return Batch()

    async def send_batch(self, batch: Batch, _topic: str, *, partition: int) -> asyncio.Future[Any]:
        """See room_log.Producer."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._attempt(future, batch, partition, next(self._number))
        return future

    def _attempt(self, future: asyncio.Future[Any], batch: Batch, partition: int, number: int) -> None:
        network, faults = self._broker.network, self._broker.faults

        def again() -> None:
            if self._node.alive and not self.closed and not future.done():
                self._node.call(self._attempt, future, batch, partition, number)

        def arrive() -> None:
            if not self._broker.reaches(self._node) or faults.strikes("produce_lost"):
                network.later(RETRY_SECONDS, again)
                return
            broken = faults.strikes("produce_failed")
            if not broken or faults.either():
                self._broker.append(self._id, partition, number, batch.drafts)
            if broken:
                network.later(network.delay(), self._end, future, OutOfOrderSequenceNumber())
            elif faults.strikes("ack_lost"):
                network.later(RETRY_SECONDS, again)
            else:
                network.later(network.delay(), self._end, future, None)

        network.later(network.delay(), arrive)

    def _end(self, future: asyncio.Future[Any], error: KafkaError | None) -> None:
        def settle() -> None:
            if not future.done():
                future.set_result(None) if error is None else future.set_exception(error)

        self._node.call(settle)


class Producers:
    """room_log.ProducerSource."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def open(self) -> Producer:
        """A connected producer."""
        node = current_node()
        await self._broker.ask(node, lambda: None)
        return Producer(self._broker, node)

    async def close(self, producer: Producer) -> None:
        """Ends it; what it had on the wire still arrives."""
        producer.closed = True
