"""PostgreSQL in memory: the services' own twins behind a wire that fails before, after and long after a
commit. One operation is one transaction; what it wrote is there for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chassis.errors import BackendUnavailable
from services.chat.memory import MemoryRoomStore
from services.chat.ports import Produce
from services.message.errors import RoomLocked
from services.message.memory import MemoryLog
from tests.simulation.faults import Faults
from tests.simulation.loop import Node, current_node
from tests.simulation.network import Network

NAME = "postgres"
COMMAND_SECONDS = 5.0
LOCK_SECONDS = 2.0
LATE_SECONDS = (0.5, 4.0)


class Postgres:
    """Both schemas, and the locks that transactions of living connections hold."""

    def __init__(self, network: Network, faults: Faults) -> None:
        self.network = network
        self.faults = faults
        self.node = Node(NAME, 2, network.loop)
        self.up = True
        self.chat = MemoryRoomStore(network.loop.time)
        self.log = MemoryLog()
        self.late = 0
        """Transactions that nobody waits for any more and that are not committed yet."""
        self._holders: dict[int, object] = {}

    def reaches(self, node: Node) -> bool:
        """Whether a process can talk to it now."""
        network = self.network
        return self.up and not network.blocked(node, self.node) and not network.blocked(self.node, node)

    async def run(self, operation: Callable[[], Coroutine[Any, Any, Any]], *, writes: bool) -> Any:
        """One transaction. Raises BackendUnavailable, and what the operation raises."""
        node, faults = current_node(), self.faults
        if not self.reaches(node):
            await asyncio.sleep(COMMAND_SECONDS if self.up else self.network.delay())
            raise BackendUnavailable("postgres")
        if faults.strikes("store_before"):
            await asyncio.sleep(self.network.delay())
            raise BackendUnavailable("postgres")
        if writes and faults.strikes("store_late"):
            self.late += 1
            self.network.later(faults.chance.uniform(*LATE_SECONDS), self._late, operation)
            await asyncio.sleep(faults.chance.uniform(0.0, COMMAND_SECONDS))
            raise BackendUnavailable("postgres")
        result = await self.network.call(node, lambda: _at_once(operation()))
        if writes and faults.strikes("store_after"):
            raise BackendUnavailable("postgres")
        return result

    def _late(self, operation: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.late -= 1
        try:
            _at_once(operation())
        except Exception as error:  # noqa: BLE001 — nobody waits for the answer any more
            self.network.loop.note("late", type(error).__name__)

    @asynccontextmanager
    async def lock(self, key: int) -> AsyncIterator[None]:
        """A row lock; it ends with its holder. Raises BackendUnavailable when it is not had in time."""
        node, holder = current_node(), object()
        deadline = self.network.loop.time() + LOCK_SECONDS
        while not await self.network.call(node, lambda: self._take(key, holder, node)):
            if self.network.loop.time() > deadline:
                raise BackendUnavailable("postgres")
            await asyncio.sleep(0.05)
        try:
            yield
        finally:
            node.on_death.pop(holder, None)
            self.network.later(self.network.delay(), self._release, key, holder)

    def _take(self, key: int, holder: object, node: Node) -> bool:
        if not node.alive or key in self._holders:
            return False
        self._holders[key] = holder
        node.on_death[holder] = lambda: self._release(key, holder)
        return True

    def _release(self, key: int, holder: object) -> None:
        if self._holders.get(key) is holder:
            del self._holders[key]


class Pool:
    """What `open_pool` gives to a process."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres


class Store:
    """A store over the wire: each method of the twin is one transaction."""

    def __init__(self, pool: Pool, target: object, reads: Sequence[str]) -> None:
        self._postgres = pool.postgres
        self._target = target
        self._reads = frozenset(reads)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._target, name)

        async def call(*arguments: Any) -> Any:
            return await self._postgres.run(lambda: method(*arguments), writes=name not in self._reads)

        return call


class LogWriter(Store):
    """services.message.store.PostgresLogWriter."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool, pool.postgres.log, ("positions", "load", "known"))

    async def commit(self, plans: Sequence[Any]) -> frozenset[int]:
        """See ports.LogWriter."""
        if self._postgres.faults.strikes("row_locked"):
            await asyncio.sleep(0.5)
            raise RoomLocked
        log = self._postgres.log
        held: frozenset[int] = await self._postgres.run(lambda: log.commit(plans), writes=True)
        return held


class LogReader(Store):
    """services.message.store.PostgresLogReader."""

    def __init__(self, pool: Pool) -> None:
        names = (
            "spans",
            "events",
            "messages",
            "message",
            "stretches",
            "user_rooms",
            "ended",
            "heads",
            "known",
        )
        super().__init__(pool, pool.postgres.log, names)


class Receipts(Store):
    """services.message.store.PostgresReceipts."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool, pool.postgres.log, ("standing", "receipts"))


class RoomStore(Store):
    """services.chat.store.PostgresRoomStore."""

    def __init__(self, pool: Pool) -> None:
        names = ("room", "rooms", "public_rooms", "memberships", "list_memberships")
        super().__init__(pool, pool.postgres.chat, names)


class Outbox(Store):
    """services.chat.store.PostgresOutbox."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool, pool.postgres.chat, ("stale_rooms", "depth"))

    async def move(self, room_id: int, limit: int, produce: Produce) -> int:
        """See ports.Outbox."""
        postgres, store = self._postgres, self._postgres.chat
        async with postgres.lock(room_id):
            rows = await postgres.run(lambda: _rows(store, room_id, limit), writes=False)
            if rows:
                await produce([row.entry for row in rows])
                await postgres.run(lambda: _delete(store, rows), writes=True)
            return len(rows)


async def _rows(store: MemoryRoomStore, room_id: int, limit: int) -> list[Any]:
    rows = sorted(store._rows.items())
    return [row for _, row in rows if row.entry.entry.room_id == room_id][:limit]


async def _delete(store: MemoryRoomStore, rows: Sequence[Any]) -> None:
    for row in rows:
        store._rows.pop(row.entry.outbox_id, None)


def _at_once(operation: Coroutine[Any, Any, Any]) -> Any:
    """Runs a twin's method, which awaits nothing: a transaction happens at one moment."""
    try:
        operation.send(None)
    except StopIteration as end:
        return end.value
    operation.close()
    raise AssertionError("a twin's transaction waited for something")
