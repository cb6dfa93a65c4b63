"""A consumer group in memory: static members, heartbeats, rebalances, zombies that were voted out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, UnknownMemberIdError

from chassis.kafka import PARTITIONS
from tests.simulation.loop import Node, current_node
from tests.simulation.twins.kafka import Appended, Broker

MOST_RECORDS = 500


class Group:
    """The coordinator. A generation begins when a member comes or is missed, and all have joined anew."""

    def __init__(self, broker: Broker, session_seconds: float) -> None:
        self.broker = broker
        self.session_seconds = session_seconds
        self.generation = 0
        self.rebalances = 0
        self.members: dict[str, Consumer] = {}
        self._heard: dict[str, float] = {}
        self._assigned: dict[str, list[int]] = {}
        self._joining: dict[str, asyncio.Future[Any]] | None = None
        broker.on_append = self._appended

    def join(self, member: Consumer) -> asyncio.Future[Any]:
        """Gives a future of (generation, partitions)."""
        answer = self.broker.network.loop.create_future()
        known = self.members.get(member.name)
        self._hear(member)
        if known is not None and known is not member and self._joining is None:
            self.members[member.name] = member  # a static member is back: it takes its partitions over
            answer.set_result((self.generation, self._assigned[member.name]))
            return answer
        self.members[member.name] = member
        self._begin()
        assert self._joining is not None
        self._joining[member.name] = answer
        if self._joining.keys() >= self.members.keys():
            self._finish()
        return answer

    def heartbeat(self, member: Consumer, generation: int) -> bool:
        """False: join anew. Raises UnknownMemberIdError when somebody took the member's name."""
        known = self.members.get(member.name)
        if known is not None and known is not member:
            raise UnknownMemberIdError
        if known is None or generation != self.generation or self._joining is not None:
            return False
        self._hear(member)
        return True

    def leave(self, member: Consumer) -> None:
        """A member is gone for good."""
        if self.members.get(member.name) is member:
            self._lose(member.name)

    def storm(self) -> None:
        """A rebalance for no reason."""
        if self.members and self._joining is None:
            self._begin()

    def _hear(self, member: Consumer) -> None:
        now = self.broker.network.loop.time()
        self._heard[member.name] = now
        self.broker.network.later(self.session_seconds + 0.001, self._miss, member.name)

    def _miss(self, name: str) -> None:
        now = self.broker.network.loop.time()
        if name not in self.members or now - self._heard[name] < self.session_seconds:
            return
        if self._joining is not None and name in self._joining:
            return
        if not self.broker.up:
            self.broker.network.later(self.session_seconds, self._miss, name)
            return
        self._lose(name)

    def _lose(self, name: str) -> None:
        del self.members[name]
        self.broker.network.loop.note("member lost", name)
        if self._joining is None:
            self._begin()
        elif self._joining.keys() >= self.members.keys():
            self._finish()

    def _begin(self) -> None:
        if self._joining is None:
            self.rebalances += 1
            self._joining = {}

    def _finish(self) -> None:
        joined, self._joining = self._joining or {}, None
        self.generation += 1
        names = sorted(self.members)
        self._assigned = {name: list(range(i, PARTITIONS, len(names))) for i, name in enumerate(names)}
        for name, answer in joined.items():
            if name in self._assigned and not answer.done():
                answer.set_result((self.generation, self._assigned[name]))

    def _appended(self, partition: int) -> None:
        network = self.broker.network
        for member in self.members.values():
            network.later(network.delay(), member.node.call, member.wake)


class Consumer:
    """Of AIOKafkaConsumer what is used. Its coordination is a task of its process, as in the real client."""

    def __init__(self, group: Group, name: str) -> None:
        self.name = name
        self.node: Node = current_node()
        self._group = group
        self._broker = group.broker
        self._listener: Any = None
        self._topic = ""
        self._offsets: dict[int, int] = {}
        self._paused: dict[int, None] = {}
        self._arrived = asyncio.Event()
        self._coordinator = SimpleNamespace(_group_instance_id=name)
        self._coordination: asyncio.Task[None] | None = None
        self._error: KafkaError | None = None
        self._rebalancing = True

    def subscribe(self, topics: Sequence[str], *, listener: Any) -> None:
        """See aiokafka."""
        self._topic, self._listener = topics[0], listener

    async def start(self) -> None:
        """Raises KafkaConnectionError."""
        await self._broker.ask(self.node, lambda: None)
        self._coordination = asyncio.create_task(self._coordinate())

    async def stop(self) -> None:
        """A static member takes no leave, unless it forgot its name: its session has to end."""
        if self._coordination is not None:
            self._coordination.cancel()
            await asyncio.wait([self._coordination])
        if self._coordinator._group_instance_id is None:
            with contextlib.suppress(KafkaError):
                await self._broker.ask(self.node, lambda: self._group.leave(self))

    async def _coordinate(self) -> None:
        pause = self._group.session_seconds / 6
        while True:
            try:
                joining = await self._broker.ask(self.node, lambda: self._group.join(self))
                generation, partitions = await joining
                self._offsets = dict.fromkeys(partitions, -1)
                self._paused.clear()
                await self._listener.on_partitions_assigned(self._tps())
                self._rebalancing = False
                await self._beat(generation, pause)
            except UnknownMemberIdError as error:
                self._error = error
                return
            except KafkaError:
                await asyncio.sleep(pause)
            self._rebalancing = True
            await self._listener.on_partitions_revoked(self._tps())
            self._offsets = {}

    async def _beat(self, generation: int, pause: float) -> None:
        silent = 0.0
        while silent < self._group.session_seconds:
            await asyncio.sleep(pause)
            try:
                if not await self._broker.ask(self.node, lambda: self._group.heartbeat(self, generation)):
                    return
                silent = 0.0
            except UnknownMemberIdError:
                raise
            except KafkaError:
                silent += pause

    def _tps(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in self._offsets]

    # Reading -------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something was appended."""
        self._arrived.set()

    async def getmany(self, *, timeout_ms: int) -> dict[TopicPartition, list[Appended]]:
        """See aiokafka. Nothing is fetched during a rebalance; what was fetched before may come after it."""
        if self._error is not None:
            raise self._error
        self._arrived.clear()
        found = self._fetch()
        if not found:
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    await self._arrived.wait()
            except TimeoutError:
                return {}
            found = self._fetch()
        await asyncio.sleep(self._broker.network.delay())
        return found

    def _fetch(self) -> dict[TopicPartition, list[Appended]]:
        if self._rebalancing or not self._broker.reaches(self.node):
            return {}
        found = {}
        for partition, offset in self._offsets.items():
            log = self._broker.logs[partition]
            if partition in self._paused or not 0 <= offset < len(log):
                continue
            most = self._broker.faults.chance.choice((1, 2, 5, MOST_RECORDS))
            found[TopicPartition(self._topic, partition)] = log[offset : offset + most]
            self._offsets[partition] = min(len(log), offset + most)
        return found

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """See aiokafka."""
        self._offsets[self._mine(tp)] = offset
        self._arrived.set()

    def pause(self, tp: TopicPartition) -> None:
        """See aiokafka."""
        self._paused[self._mine(tp)] = None

    def resume(self, tp: TopicPartition) -> None:
        """See aiokafka."""
        self._paused.pop(self._mine(tp), None)
        self._arrived.set()

    def _mine(self, tp: TopicPartition) -> int:
        if tp.partition not in self._offsets:
            raise IllegalStateError(f"no current assignment for {tp}")
        return int(tp.partition)

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See aiokafka."""
        return await self._broker.ask(self.node, lambda: dict.fromkeys(tps, 0))  # type: ignore[no-any-return]

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See aiokafka."""
        logs = self._broker.logs
        return await self._broker.ask(  # type: ignore[no-any-return]
            self.node, lambda: {tp: len(logs[tp.partition]) for tp in tps}
        )

    async def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, Any]:
        """See aiokafka."""

        def find() -> dict[TopicPartition, Any]:
            logs = self._broker.logs
            return {
                tp: next((record for record in logs[tp.partition] if record.timestamp >= millis), None)
                for tp, millis in times.items()
            }

        return await self._broker.ask(self.node, find)  # type: ignore[no-any-return]

    async def topics(self) -> set[str]:
        """See aiokafka."""
        return await self._broker.ask(self.node, lambda: {self._topic})  # type: ignore[no-any-return]

    def partitions_for_topic(self, _topic: str) -> set[int]:
        """See aiokafka."""
        return set(range(PARTITIONS))

    async def commit(self, _offsets: object) -> None:
        """A hint for Kafka's own tools; nobody reads it."""
        await self._broker.ask(self.node, lambda: None)
