"""The sequencer's place in the consumer group: fetch, commit, tell.

One loop fetches for all partitions at once and commits what came as one transaction. Trouble of any
kind sets a partition aside: its fetched records are dropped, it is paused, and after a while it is
read again from where log_position says; so memory stays flat however long PostgreSQL is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from chassis import failpoints, logs
from chassis.closed import closed_is_lost
from chassis.errors import BackendUnavailable
from services.message.config import MessageSettings
from services.message.domain import Batch, Plan
from services.message.fetched import (
    AnotherLogError,
    LogEnds,
    Record,
    batch_of,
    continuation,
    fault,
    first_offset,
)
from services.message.flow import Flow
from services.message.hints import Hints
from services.message.kafka_log import close, first_after, log_client, log_ends
from services.message.measures import Measures
from services.message.ownership import Ownership, Waiting
from services.message.ports import DeadLetters
from services.message.use_cases.sequencing import Result, Sequencer

POLL_SECONDS = 0.2
RESTART_SECONDS = 1.0

log = logs.get("message")


class LogConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Reads the room log as a member of the group."""

    def __init__(
        self,
        settings: MessageSettings,
        sequencer: Sequencer,
        hints: Hints,
        dead_letters: DeadLetters,
        measures: Measures,
    ) -> None:
        self._settings = settings
        self._sequencer = sequencer
        self._hints = hints
        self._dead_letters = dead_letters
        self._measures = measures
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._renewing = False
        self._flow = Flow(settings.room_log_topic)
        self.ownership = Ownership()
        self.joined = asyncio.Event()
        """Set once the group has given us an assignment, maybe an empty one."""

    async def run(self) -> None:
        """Consumes until `stop`; a broker that is away or a broken consumer only means a new one."""
        while not self._stopping.is_set():
            try:
                with closed_is_lost():
                    await self._session()
                self._measures.consumer_restarts.inc(self._renewing)
            except (KafkaError, OSError, TimeoutError) as error:
                self._measures.consumer_restarts.inc()
                log.warning("consumer_lost", error=type(error).__name__, detail=str(error))
                await asyncio.sleep(RESTART_SECONDS)

    def stop(self) -> None:
        """Ends `run` after the batch in hand and gives the partitions back."""
        self._stopping.set()

    def renew(self) -> None:
        """Goes on with a new client after the batch in hand."""
        self._renewing = True

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The client that is in the group now, for the watch over the broker."""
        return self._flow.consumer

    async def _session(self) -> None:
        consumer = log_client(self._settings)
        consumer.subscribe([self._settings.room_log_topic], listener=self)
        self._flow.consumer = consumer
        self._renewing = False
        try:
            await consumer.start()
            while not (self._stopping.is_set() or self._renewing):
                await self._step(consumer)
        finally:
            self._flow.consumer = None
            hand_over = self._stopping.is_set() and self.ownership.shared
            self._release()
            await close(consumer, hand_over=hand_over)

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        async with self._turn:
            await self._take_up(consumer)
        await failpoints.reach("message.before_poll", KafkaConnectionError)
        try:
            fetched = await consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000))
        except NoOffsetForPartitionError:
            return  # a fetch was under way before the assignment could seek; the claim seeks again
        except OffsetOutOfRangeError as error:
            lost = [tp.partition for tp in error.args[0]]
            log.warning("offset_out_of_range", partitions=lost)
            async with self._turn:
                self._set_aside(lost, claim=True)
            return
        if fetched:
            async with self._turn:
                await self._work({tp.partition: records for tp, records in fetched.items()})

    # The group's decisions ---------------------------------------------------------------------

    async def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        """Lets the batch in hand end, then forgets everything."""
        async with self._turn:
            self._release()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Notes what is ours now; the loop claims it. Nothing is read before that."""
        partitions = sorted(tp.partition for tp in assigned)
        for partition in partitions:
            self._flow.hold(partition)
        self.ownership.assign(partitions, self._now())
        self.joined.set()
        log.info("partitions_assigned", partitions=partitions)

    def _release(self) -> None:
        gone = self.ownership.revoke()
        self._sequencer.release(gone)
        self._hints.release(gone)
        self._report()

    # Taking up partitions ----------------------------------------------------------------------

    async def _take_up(self, consumer: AIOKafkaConsumer) -> None:
        """Claims or resumes the partitions that are due."""
        due = self.ownership.due(self._now())
        if not due:
            return
        claims = [partition for partition, wait in due.items() if wait.claim]
        resumes = [partition for partition, wait in due.items() if not wait.claim]
        try:
            if claims:
                await self._sequencer.claim(claims)
                await self._begin(due, await log_ends(consumer, self._settings.room_log_topic, claims))
            if resumes:
                await self._resume(due, resumes)
        except (BackendUnavailable, KafkaError, TimeoutError) as error:
            self._wait(due.keys() - self.ownership.working, error)
        self._report()

    async def _begin(self, due: Mapping[int, Waiting], ends: Mapping[int, LogEnds]) -> None:
        claimed, doubted = {}, {}
        for partition, found in ends.items():
            position = self._sequencer.positions[partition]
            why = fault(position, found)
            if why is not None:
                doubted[partition] = why
            elif self.ownership.start(partition, due[partition]):
                self._hints.own([position])
                self._flow.read_from(partition, first_offset(position, found))
                claimed[partition] = position.next_offset
        log.info("partitions_claimed", next_offsets=claimed)
        await self._doubt(doubted)

    async def _resume(self, due: Mapping[int, Waiting], partitions: Sequence[int]) -> None:
        mine = await self._sequencer.resume(partitions)
        self._fence(set(partitions) - mine)
        for partition in mine:
            if self.ownership.start(partition, due[partition]):
                self._hints.doubt([partition])
                self._flow.read_from(partition, self._sequencer.positions[partition].next_offset)

    def look_again(self, partition: int) -> None:
        """Stops the work on a partition and claims it anew, which looks at its log again."""
        self._set_aside([partition], claim=True)

    async def _doubt(self, doubted: Mapping[int, str]) -> None:
        """Their logs are not those we stand in. When it stays so we go on in the logs that there are: what
        was answered is in the store, the rest is sent again (docs/decisions/0007-lost-log.md)."""
        if not doubted:
            return
        log.warning("log_doubted", partitions=doubted)
        now, positions = self._now(), self._sequencer.positions
        since = {p: positions[p].commit_millis for p in doubted if self.ownership.doubt(p, doubted[p], now)}
        if since and self.consumer is not None:
            offsets = await first_after(self.consumer, self._settings.room_log_topic, since)
            for partition, next_offset in offsets.items():
                if await self._sequencer.restart(partition, next_offset):
                    self._measures.restarted.inc()
                    self.ownership.committed([partition])
                    log.error("log_restarted", partition=partition, next_offset=next_offset)
        self._set_aside(doubted, claim=True)

    # Committing --------------------------------------------------------------------------------

    async def _work(self, fetched: Mapping[int, Sequence[Record]]) -> None:
        batches: dict[int, Batch] = {}
        others: dict[int, str] = {}
        for partition in self.ownership.working & fetched.keys():
            try:
                records = continuation(self._sequencer.positions[partition], fetched[partition])
            except AnotherLogError as error:
                others[partition] = str(error)
                continue
            if records:
                batches[partition] = batch_of(partition, records)
        try:
            await self._doubt(others)
        except (BackendUnavailable, KafkaError, TimeoutError) as error:
            self._wait(others, error)
        if not batches:
            return
        with self._measures.commit_seconds.time():
            result = await self._sequencer.process(batches)
        await failpoints.reach("message.after_commit", KafkaConnectionError)
        self._settle(batches, result)
        self._measures.record(result)
        if result.committed:
            await self._tell(result.committed)
            await failpoints.reach("message.after_publish", KafkaConnectionError)

    def _settle(self, batches: Mapping[int, Batch], result: Result) -> None:
        """Whatever did not reach the end of its batch is fetched again from where it stands."""
        self.ownership.committed(plan.position.partition for plan in result.committed)
        if result.fenced:
            self._fence(result.fenced)
        positions = self._sequencer.positions
        aside = {
            partition
            for partition, batch in batches.items()
            if partition in positions and positions[partition].next_offset != batch.next_offset
        }
        if aside:
            log.warning("partitions_set_aside", locked=sorted(result.locked), unknown=sorted(result.unknown))
            self._set_aside(aside, claim=False)
        if result.fenced or aside:
            self._report()

    async def _tell(self, plans: Sequence[Plan]) -> None:
        for plan in plans:
            if plan.dead:
                log.warning(
                    "dead_letters",
                    partition=plan.position.partition,
                    offsets=[letter.offset for letter in plan.dead],
                    reasons=sorted({letter.reason for letter in plan.dead}),
                )
                self._dead_letters.offer(plan.dead)
        await self._hints.committed(plans)

    def _fence(self, partitions: Iterable[int]) -> None:
        partitions = list(partitions)
        if partitions:
            log.warning("partitions_fenced", partitions=sorted(partitions))
            self._measures.fenced.inc(len(partitions))
        self._sequencer.release(partitions)
        self._hints.release(partitions)
        self.ownership.fenced(partitions, self._now())
        for partition in partitions:
            self._flow.pause(partition)

    def _wait(self, partitions: Collection[int], error: Exception) -> None:
        log.warning(
            "partitions_wait", partitions=sorted(partitions), error=str(error) or type(error).__name__
        )
        self._set_aside(partitions, claim=True)

    def _set_aside(self, partitions: Iterable[int], *, claim: bool) -> None:
        partitions = list(partitions)
        self.ownership.wait(partitions, self._now(), claim=claim)
        for partition in partitions:
            self._flow.pause(partition)

    def _report(self) -> None:
        ownership = self.ownership
        self._measures.partitions(len(ownership.working), ownership.assigned, ownership.doubted)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
