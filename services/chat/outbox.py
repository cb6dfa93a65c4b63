"""The relay: moves outbox rows into the room log, without a leader (ports.Relay).

The instance that wrote a change drains its room at once; a sweep drains rooms whose writer is slow or
gone. Row locks make relays of one room take turns, so its order is the order of the outbox ids. What was
moved is kept, and looked after by confirming.py.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from chassis import failpoints, logs
from chassis.errors import BackendUnavailable, Failure
from services.chat.ports import Outbox, OutboxEntry, Produce

ROWS_AT_ONCE = 500
STALE_SECONDS = 1.0
SWEEP_SECONDS = 1.0
SWEEP_ROOMS = 100
PRODUCE_SECONDS = 4.0
"""How long a transaction stays open for the log; less than PostgreSQL lets one idle."""
CONCURRENT = 4
"""Transactions that relays of this process hold at once."""
MAX_WAITING = 1000
"""Rooms whose run waits for its turn, as while Kafka is away; the rows of further rooms are the sweep's."""

log = logs.get("chat")


class OutboxRelay:
    """Drains rooms; concurrent calls for one room share the next run."""

    def __init__(
        self,
        outbox: Outbox,
        produce: Produce,
        *,
        on_depth: Callable[[int], None] = lambda _depth: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        produce_seconds: float = PRODUCE_SECONDS,
    ) -> None:
        self._outbox = outbox
        self._append = produce
        self._on_depth = on_depth
        self._sleep = sleep
        self._produce_seconds = produce_seconds
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._running: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next: dict[int, asyncio.Task[None]] = {}

    async def drain(self, room_id: int) -> None:
        """See ports.Relay. A run that has not begun yet will see the caller's rows, so it is shared."""
        task = self._next.get(room_id)
        if task is None:
            if len(self._next) >= MAX_WAITING:
                raise BackendUnavailable("kafka")
            task = asyncio.create_task(self._run(room_id))
            task.add_done_callback(_retrieve)
            self._next[room_id] = task
        await asyncio.shield(task)

    async def run(self) -> None:
        """Sweeps every second until cancelled."""
        while True:
            await self._sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Failure as failure:
                log.warning("outbox_sweep_failed", reason=failure.reason, message=failure.message)

    async def sweep(self) -> None:
        """Drains the rooms whose rows are older than a second; one in trouble does not hold up the others.

        Raises BackendUnavailable.
        """
        self._on_depth(await self._outbox.depth())
        rooms = await self._outbox.stale_rooms(STALE_SECONDS, SWEEP_ROOMS)
        ends = await asyncio.gather(*map(self.drain, rooms), return_exceptions=True)
        for error in ends:
            if error is not None:
                raise error

    async def _run(self, room_id: int) -> None:
        lock = self._running[room_id]
        try:
            async with lock, self._slots:
                del self._next[room_id]
                while await self._outbox.move(room_id, ROWS_AT_ONCE, self._produce) == ROWS_AT_ONCE:
                    continue
        finally:
            if room_id not in self._next:
                del self._running[room_id]

    async def _produce(self, rows: Sequence[OutboxEntry]) -> None:
        try:
            async with asyncio.timeout(self._produce_seconds):
                await self._append(rows)
        except TimeoutError as error:
            raise BackendUnavailable("kafka") from error
        await failpoints.reach("chat.outbox_produced")


def _retrieve(run: asyncio.Task[None]) -> None:
    """A run may fail when nobody waits for it any more: the rows stay, and the sweep says what is wrong."""
    if not run.cancelled():
        run.exception()
