"""Gives places: what is known of rooms is kept in memory, the fence makes that safe.

One instance owns the partitions of its process. Every commit names the epoch and the offset it
stands on, so an owner that was replaced writes nothing, and what it believed does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chassis.errors import BackendUnavailable
from services.message.domain import (
    Batch,
    Command,
    First,
    Member,
    Plan,
    Position,
    RequestKey,
    Room,
    Unreadable,
    View,
)
from services.message.errors import RecordRefused, RequestKnown, RoomLocked
from services.message.ports import LogWriter
from services.message.sequencer import plan, standing_of

MAX_CACHED = 200_000
"""Rooms and members remembered per partition set; past it everything is forgotten and read again."""


@dataclass(slots=True)
class Result:
    """How a batch ended, partition by partition. Each partition is in at least one place."""

    committed: list[Plan] = field(default_factory=list)
    fenced: set[int] = field(default_factory=set)
    """Somebody else owns these now; nothing of the rest was written."""
    locked: set[int] = field(default_factory=set)
    """A row was locked for too long; try again later."""
    unknown: set[int] = field(default_factory=set)
    """The store did not answer: the batch may or may not be committed, the position says."""
    long_ways: int = 0
    """Batches that were not committed at the first try."""


class Sequencer:
    """Turns batches of records into committed plans."""

    def __init__(self, log: LogWriter, now_millis: Callable[[], int]) -> None:
        self._log = log
        self._now_millis = now_millis
        self._positions: dict[int, Position] = {}
        self._views: dict[int, View] = {}

    @property
    def positions(self) -> Mapping[int, Position]:
        """Where the partitions that we own stand."""
        return self._positions

    async def claim(self, partitions: Sequence[int]) -> None:
        """Becomes the owner. Raises BackendUnavailable, and then owns none of them."""
        self.release(partitions)
        self._positions.update(await self._log.claim(partitions))

    async def resume(self, partitions: Sequence[int]) -> set[int]:
        """Reads where partitions stand after a commit of unknown end; gives those still ours.

        Raises BackendUnavailable.
        """
        found = await self._log.positions(partitions)
        for partition in partitions:
            mine, now = self._positions.get(partition), found.get(partition)
            self.release([partition])
            if mine is not None and now is not None and mine.owner_epoch == now.owner_epoch:
                self._positions[partition] = now
        return self._positions.keys() & set(partitions)

    async def restart(self, partition: int, next_offset: int) -> bool:
        """Goes on from another offset, in a log that has lost the one we stand at; the partition is to be
        claimed again. False when it is not ours. Raises BackendUnavailable."""
        position = self._positions.get(partition)
        self.release([partition])
        return position is not None and await self._log.restart(position, next_offset)

    def release(self, partitions: Iterable[int]) -> None:
        """Forgets partitions and their rooms."""
        for partition in partitions:
            self._positions.pop(partition, None)
            self._views.pop(partition, None)

    async def process(self, batches: Mapping[int, Batch]) -> Result:
        """Commits batches of owned partitions: together if it can, apart if it must."""
        result = Result()
        try:
            await self._load(batches)
            plans = self._plan(batches, None)
            if any(item.unsure for item in plans):
                raise RequestKnown
            await self._commit(plans, result)
        except RequestKnown:
            await self._again(batches, result)
        except (RoomLocked, RecordRefused):
            await self._apart(batches, result)
        except BackendUnavailable:
            self._doubt(batches, result)
        return result

    async def _again(self, batches: Mapping[int, Batch], result: Result) -> None:
        """All together once more, knowing which requests were committed before."""
        result.long_ways += 1
        try:
            await self._load(batches)
            plans = self._plan(batches, await self._log.known(_keys(batches)))
            await self._commit(plans, result)
        except (RequestKnown, RoomLocked, RecordRefused):
            await self._apart(batches, result)
        except BackendUnavailable:
            self._doubt(batches, result)

    async def _apart(self, batches: Mapping[int, Batch], result: Result) -> None:
        """One transaction a partition, so that one in trouble does not hold up the others."""
        result.long_ways += 1
        for partition in sorted(batches):
            if partition in self._positions:
                await self._alone(partition, batches[partition], result)

    async def _alone(self, partition: int, batch: Batch, result: Result) -> None:
        try:
            await self._carefully({partition: batch}, result)
        except RoomLocked:
            result.locked.add(partition)
        except (RequestKnown, RecordRefused):
            await self._one_by_one(partition, batch, result)
        except BackendUnavailable:
            self._doubt([partition], result)

    async def _one_by_one(self, partition: int, batch: Batch, result: Result) -> None:
        """One transaction a record: what the store refuses even alone becomes a dead letter."""
        for step in _steps(batch):
            try:
                await self._single(partition, step, result)
            except (RoomLocked, RequestKnown, RecordRefused):
                result.locked.add(partition)
            except BackendUnavailable:
                self._doubt([partition], result)
            if partition in result.locked | result.unknown | result.fenced:
                return

    async def _single(self, partition: int, step: Batch, result: Result) -> None:
        try:
            await self._carefully({partition: step}, result)
        except RecordRefused as refusal:
            dead = [_buried(arrival, refusal.rule) for arrival in step.arrivals]
            await self._carefully({partition: Batch(dead, step.next_offset, step.anchor)}, result)

    async def _carefully(self, batches: Mapping[int, Batch], result: Result) -> None:
        await self._load(batches)
        known = await self._log.known(_keys(batches))
        await self._commit(self._plan(batches, known), result)

    def _plan(self, batches: Mapping[int, Batch], known: Mapping[RequestKey, First] | None) -> list[Plan]:
        now = self._now_millis()
        return [
            plan(self._positions[partition], batches[partition], self._views[partition], known, now)
            for partition in sorted(batches)
            if partition in self._positions
        ]

    async def _commit(self, plans: list[Plan], result: Result) -> None:
        """One transaction; partitions lost to another owner are left out and the rest goes again."""
        while plans:
            try:
                held = await self._log.commit(plans)
            except BaseException:
                self._forget(plans)
                raise
            lost = {item.position.partition for item in plans} - held
            if not lost:
                for item in plans:
                    self._apply(item)
                result.committed.extend(plans)
                return
            self.release(lost)
            result.fenced |= lost
            plans = [item for item in plans if item.position.partition in held]

    async def _load(self, batches: Mapping[int, Batch]) -> None:
        """Reads what the batches need and memory does not have."""
        self._bound_memory()
        rooms: set[int] = set()
        members: set[Member] = set()
        for partition, batch in batches.items():
            view = self._views.setdefault(partition, View())
            for command in _commands(batch):
                if command.key.room_id not in view.rooms:
                    rooms.add(command.key.room_id)
                member = standing_of(command)
                if member is not None and member not in view.members:
                    members.add(member)
        if rooms or members:
            found_rooms, found_members = await self._log.load(sorted(rooms), sorted(members))
            self._remember(batches, found_rooms, found_members)

    def _remember(
        self, batches: Mapping[int, Batch], rooms: Mapping[int, Room], members: Mapping[Member, int]
    ) -> None:
        for partition, batch in batches.items():
            view = self._views[partition]
            for command in _commands(batch):
                room_id = command.key.room_id
                view.rooms.setdefault(room_id, rooms.get(room_id, Room()))
                member = standing_of(command)
                if member is not None:
                    view.members.setdefault(member, members.get(member))

    def _apply(self, item: Plan) -> None:
        position = item.position
        view = self._views.setdefault(position.partition, View())
        view.rooms.update(item.rooms)
        view.members.update(item.members)
        self._positions[position.partition] = position._replace(
            next_offset=item.next_offset, anchor=item.anchor
        )

    def _forget(self, plans: Iterable[Plan]) -> None:
        for item in plans:
            self._views.pop(item.position.partition, None)

    def _doubt(self, partitions: Iterable[int], result: Result) -> None:
        for partition in partitions:
            self._views.pop(partition, None)
            if partition in self._positions:
                result.unknown.add(partition)

    def _bound_memory(self) -> None:
        if sum(len(v.rooms) + len(v.members) for v in self._views.values()) > MAX_CACHED:
            self._views.clear()


def _commands(batch: Batch) -> Iterable[Command]:
    return (arrival for arrival in batch.arrivals if isinstance(arrival, Command))


def _keys(batches: Mapping[int, Batch]) -> list[RequestKey]:
    return sorted({command.key for batch in batches.values() for command in _commands(batch)})


def _steps(batch: Batch) -> Iterable[Batch]:
    """The same records one at a time; the anchor is known for the last of them only."""
    last = len(batch.arrivals) - 1
    for index, arrival in enumerate(batch.arrivals):
        if index == last:
            yield Batch([arrival], batch.next_offset, batch.anchor)
        else:
            yield Batch([arrival], arrival.offset + 1, b"")


def _buried(arrival: Command | Unreadable, rule: str) -> Unreadable:
    return Unreadable(arrival.partition, arrival.offset, arrival.raw, f"refused by the store: {rule}")
