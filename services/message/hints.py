"""What is told over Redis after a commit. Any of it may be lost; nothing waits for it long.

While Redis is away the commits go on: their events and outcomes are not published (chat asks for
them), but the heads that moved are kept and said once Redis is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from polychat.internal.log.v1 import record_pb2

from chassis import logs, redis
from chassis.errors import BackendUnavailable
from chassis.telemetry import Metrics
from services.message.domain import Effect, Outcome, Plan, Position
from services.message.events import event_record_of, outcome_of

HEADS_SECONDS = 1.0
COMPARE_ALL_TIMES = 5
"""A new owner says it this many seconds in a row, since any one of them may be lost."""
MAX_MOVED = 10_000
"""Rooms remembered while Redis is away; past it the partition says compare_all instead."""
HINT_BYTES = 1024 * 1024
"""A larger hint than this is split, so that a slow subscriber is not cut off for its buffer."""

log = logs.get("message")


class Publisher(Protocol):
    """chassis.redis.Publisher, as far as it is used here."""

    async def publish(self, hints: Sequence[tuple[str, bytes]]) -> None:
        """Sends all. Raises BackendUnavailable within half a second."""
        ...


class _Heads:
    """What one partition has to say."""

    def __init__(self, owner_epoch: int) -> None:
        self.owner_epoch = owner_epoch
        self.number = 0
        self.moved: dict[int, int] = {}
        self.compare_all = COMPARE_ALL_TIMES

    def move(self, heads: Iterable[tuple[int, int]]) -> None:
        self.moved.update(heads)
        if len(self.moved) > MAX_MOVED:
            self.moved.clear()
            self.compare_all = max(self.compare_all, 1)

    def hint(self, partition: int) -> record_pb2.PartitionHeads:
        return record_pb2.PartitionHeads(
            partition=partition,
            owner_epoch=self.owner_epoch,
            number=self.number + 1,
            heads=[record_pb2.RoomHead(room_id=r, head_sequence=s) for r, s in self.moved.items()],
            compare_all=self.compare_all > 0,
        )

    def said(self, hint: record_pb2.PartitionHeads) -> None:
        """Forgets what was published; what moved meanwhile stays for the next time."""
        self.number += 1
        self.compare_all = max(0, self.compare_all - 1)
        for head in hint.heads:
            if self.moved.get(head.room_id) == head.head_sequence:
                del self.moved[head.room_id]


class Hints:
    """Publishes commits at once and moved heads every second."""

    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._partitions: dict[int, _Heads] = {}
        self._away = False
        self._lost = metrics.counter("hints_lost", "Batches of hints that Redis did not take")

    def own(self, positions: Iterable[Position]) -> None:
        """Starts to speak for partitions under a new epoch."""
        for position in positions:
            self._partitions[position.partition] = _Heads(position.owner_epoch)

    def doubt(self, partitions: Iterable[int]) -> None:
        """Events of these may have been committed without a hint: everybody should compare."""
        for partition in partitions:
            if partition in self._partitions:
                self._partitions[partition].compare_all = COMPARE_ALL_TIMES

    def release(self, partitions: Iterable[int]) -> None:
        """Says nothing more for partitions."""
        for partition in partitions:
            self._partitions.pop(partition, None)

    def problem(self) -> str | None:
        """For readiness: None while Redis takes what is published."""
        return "redis does not answer; hints are lost" if self._away else None

    async def committed(self, plans: Sequence[Plan]) -> None:
        """Publishes what was committed, unless Redis is away. Never fails."""
        for plan in plans:
            heads = self._partitions.get(plan.position.partition)
            if heads is not None:
                heads.move((room_id, room.head_sequence) for room_id, room in plan.rooms.items())
        if self._away:
            self._lost.inc()
        elif await self._publish(commit_hints(plans)):
            return
        # Heads bring what was lost of rooms that are listened to. Who joined a room that nobody at their
        # chat instance is in, or left one, shows only when lists are read again.
        self.doubt(plan.position.partition for plan in plans if plan.memberships)

    async def receipt_moved(self, room_id: int, user_id: int, read_sequence: int) -> None:
        """Says that a member has read on (ports.Signals)."""
        if self._away:
            return
        signal = record_pb2.RoomSignal(room_id=room_id, user_id=user_id, read_sequence=read_sequence)
        hint = record_pb2.RoomHint(signals=[signal])
        await self._publish([(redis.room_channel(room_id), hint.SerializeToString())])

    async def run(self) -> None:
        """Says each second which heads moved; ends only when cancelled."""
        while True:
            await asyncio.sleep(HEADS_SECONDS)
            await self.publish_heads()

    async def publish_heads(self) -> None:
        """Says which heads moved since this was last published."""
        said = [
            (heads, heads.hint(partition))
            for partition, heads in sorted(self._partitions.items())
            if heads.moved or heads.compare_all
        ]
        if not said and not self._away:
            return
        hint = record_pb2.HeadsHint(partitions=[hint for _, hint in said])
        if await self._publish([(redis.HEADS, hint.SerializeToString())]):
            for heads, part in said:
                heads.said(part)

    async def _publish(self, hints: Sequence[tuple[str, bytes]]) -> bool:
        try:
            await self._publisher.publish(hints)
        except BackendUnavailable:
            self._lost.inc()
            if not self._away:
                log.warning("redis_away")
            self._away = True
            return False
        if self._away:
            log.info("redis_back")
        self._away = False
        return True


def commit_hints(plans: Sequence[Plan]) -> list[tuple[str, bytes]]:
    """The hints of a commit: events by room, those that start or end a membership, outcomes by instance."""
    rooms: dict[int, list[record_pb2.EventRecord]] = {}
    membership: list[record_pb2.EventRecord] = []
    for plan in plans:
        for entry in plan.entries:
            record = event_record_of(entry)
            rooms.setdefault(record.room_id, []).append(record)
            if entry.command.effect in (Effect.JOIN, Effect.LEAVE):
                membership.append(record)
    hints = [
        (redis.room_channel(room_id), record_pb2.RoomHint(events=part).SerializeToString())
        for room_id, records in rooms.items()
        for part in _parts(records)
    ]
    hints += [
        (redis.MEMBERSHIP, record_pb2.MembershipHint(events=part).SerializeToString())
        for part in _parts(membership)
    ]
    return hints + _outcome_hints(outcome for plan in plans for outcome in plan.outcomes)


def _outcome_hints(outcomes: Iterable[Outcome]) -> list[tuple[str, bytes]]:
    waiting: dict[str, list[record_pb2.Outcome]] = {}
    for outcome in outcomes:
        if outcome.reply_to:
            waiting.setdefault(outcome.reply_to, []).append(outcome_of(outcome))
    return [
        (redis.chat_channel(instance), record_pb2.OutcomeBatch(outcomes=batch).SerializeToString())
        for instance, batch in waiting.items()
    ]


def _parts(records: Sequence[record_pb2.EventRecord]) -> Iterable[list[record_pb2.EventRecord]]:
    part: list[record_pb2.EventRecord] = []
    size = 0
    for record in records:
        if part and size + len(record.event) > HINT_BYTES:
            yield part
            part, size = [], 0
        part.append(record)
        size += len(record.event)
    if part:
        yield part
