"""Watches the broker: is it there, does its log hold our positions, how far behind are we."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from chassis import failpoints, logs
from chassis.closed import closed_is_lost
from chassis.kafka import PARTITIONS
from services.message.consumer import LogConsumer
from services.message.fetched import LogEnds, fault
from services.message.kafka_log import log_ends
from services.message.measures import Measures
from services.message.progress import Progress
from services.message.use_cases.sequencing import Sequencer

WATCH_SECONDS = 2.0
SILENCE_SECONDS = 6.0
"""Without an answer of the broker for this long the process is not ready: with the second between two looks
at readiness, and the check itself, well within the 10 s after which an outage is to be seen."""

log = logs.get("message")


class BrokerWatch:
    """Looks at the log every two seconds."""

    def __init__(self, topic: str, consumer: LogConsumer, sequencer: Sequencer, measures: Measures) -> None:
        self._topic = topic
        self._consumer = consumer
        self._sequencer = sequencer
        self._measures = measures
        self._seen = float("-inf")
        self._topic_problem: str | None = None
        self._committed: dict[int, int] = {}
        self._progress = Progress()

    def problem(self) -> str | None:
        """For readiness: why records are not being committed, None when they are."""
        if asyncio.get_running_loop().time() - self._seen > SILENCE_SECONDS:
            return "kafka does not answer"
        if self._topic_problem is not None:
            return self._topic_problem
        if not self._consumer.joined.is_set():
            return "the consumer group has not given out partitions yet"
        doubted = self._consumer.ownership.doubted
        if doubted:
            first = min(doubted)
            return f"the log of {len(doubted)} partitions is in doubt; {first}: {doubted[first]}"
        return None

    async def run(self) -> None:
        """Looks again and again; ends only when cancelled."""
        while True:
            await self._pause()
            consumer = self._consumer.consumer
            if consumer is None:
                continue
            try:
                with closed_is_lost():
                    async with asyncio.timeout(SILENCE_SECONDS):
                        await self._look(consumer)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("broker_watch_failed", error=type(error).__name__, detail=str(error))
            else:
                self._seen = asyncio.get_running_loop().time()

    async def _pause(self) -> None:
        """Two seconds, but no longer than until the group lets us in for the first time."""
        if self._consumer.joined.is_set():
            await asyncio.sleep(WATCH_SECONDS)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._consumer.joined.wait(), WATCH_SECONDS)

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        topics = await consumer.topics()
        self._topic_problem = self._shape(consumer, topics)
        before = dict(self._sequencer.positions)
        owned = sorted(before.keys() & self._consumer.ownership.working)
        ends = await log_ends(consumer, self._topic, owned) if owned else {}
        for partition in owned:
            why = fault(before[partition], ends[partition])
            if why is not None and self._sequencer.positions.get(partition) is not None:
                self._consumer.look_again(partition)
        self._measures.consumer_lag.set(self._lag(owned, ends))
        self._renew_if_stalled(ends)
        await self._hint_offsets(consumer, owned)

    def _renew_if_stalled(self, ends: dict[int, LogEnds]) -> None:
        """A client whose fetching has died says nothing about it; a new one does no harm."""
        working = self._consumer.ownership.working & ends.keys() & self._sequencer.positions.keys()
        positions = {partition: self._sequencer.positions[partition].next_offset for partition in working}
        now = asyncio.get_running_loop().time()
        stalled = self._progress.stalled(now, positions, {p: ends[p].end for p in working})
        if stalled:
            log.error("consumer_stalled", partitions=stalled)
            self._progress = Progress()
            self._consumer.renew()

    def _shape(self, consumer: AIOKafkaConsumer, topics: set[str]) -> str | None:
        if self._topic not in topics:
            return f"topic {self._topic} does not exist"
        found = consumer.partitions_for_topic(self._topic) or set()
        if len(found) != PARTITIONS:
            return f"topic {self._topic} has {len(found)} partitions instead of {PARTITIONS}"
        return None

    def _lag(self, owned: Sequence[int], ends: dict[int, LogEnds]) -> int:
        positions = self._sequencer.positions
        return sum(
            max(0, ends[partition].end - positions[partition].next_offset)
            for partition in owned
            if partition in positions
        )

    async def _hint_offsets(self, consumer: AIOKafkaConsumer, owned: Sequence[int]) -> None:
        """Tells Kafka how far we are, for its own tools; nothing here ever reads it."""
        positions = self._sequencer.positions
        moved = {
            partition: positions[partition].next_offset
            for partition in owned
            if partition in positions and self._committed.get(partition) != positions[partition].next_offset
        }
        if moved:
            await failpoints.reach("message.before_offset", KafkaConnectionError)
            await consumer.commit(
                {TopicPartition(self._topic, p): OffsetAndMetadata(offset, "") for p, offset in moved.items()}
            )
            self._committed.update(moved)
