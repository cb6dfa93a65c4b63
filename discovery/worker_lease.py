"""The worker id of a process's Snowflake ids, leased with a Consul session.

When it may go on and when it must stop is reasoned in docs/decisions/0003-worker-ids.md.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Gauge

from chassis import logs
from chassis.errors import BackendUnavailable
from chassis.ids import Snowflake
from discovery.agent import CALL_SECONDS, Agent, ConsulAway, KeyValue
from discovery.backoff import Backoff
from discovery.worker_slots import PREFIX, Choice, Slot, choose, key_of

TTL_SECONDS: Final = 10
"""The least that Consul allows; it ends an abandoned session after one to two of these."""
RENEW_SECONDS: Final = 1.0
STORE_SECONDS: Final = 10.0
"""How often the record is written; after a crash up to this much of what was used is not in it."""
SETTLE_SECONDS: Final = RENEW_SECONDS + CALL_SECONDS
"""In a table that was just made, possibly by a wipe, the living take their own ids back first."""
OFFLINE_SECONDS: Final = 20 * 3600.0
"""How long ids are given without a word from Consul: less than another instance's quarantine of 24 h."""
LOCK_TRIES: Final = 8
"""Others may take the chosen id first; a session that is over locks none, so then comes a new one."""
RETRY_FIRST_SECONDS: Final = 0.1
RETRY_MOST_SECONDS: Final = 2.0
BORN: Final = f"{PREFIX}born"

log = logs.get("discovery")


def _wall_millis() -> int:
    return time.time_ns() // 1_000_000


def _elapsed_seconds() -> float:
    # Unlike the monotonic clock this one goes on while the machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The wall clock in Unix milliseconds, a clock in seconds that never steps, and how to wait."""

    wall: Callable[[], int] = _wall_millis
    elapsed: Callable[[], float] = _elapsed_seconds
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(slots=True)
class _Held:
    worker: int
    session: str
    stored: Slot
    stored_at: float


def snowflake_ids(lease: WorkerLease) -> Callable[[], int]:
    """Gives a new id at each call, after every id of the worker id's previous holder.

    The call raises BackendUnavailable("consul") while no worker id is held.
    """
    snowflake = Snowflake(lease.worker_id)

    def new_id() -> int:
        snowflake.not_before(lease.not_before_millis)
        return snowflake.next()

    return new_id


class WorkerLease:
    """Leases a worker id and keeps it. Made by `Discovery.lease_worker_id`."""

    def __init__(
        self, agent: Agent, instance: str, held_gauge: Gauge, *, clocks: Clocks | None = None
    ) -> None:
        self._agent = agent
        self._instance = instance
        self._gauge = held_gauge
        self._clocks = clocks or Clocks()
        self._held: _Held | None = None
        self._previous: _Held | None = None
        self._checked = self._contact = self._clocks.elapsed()
        self._not_before = 0
        self._floor_passed = False
        self._last_timestamp = 0
        self._taken = asyncio.Event()
        self._away = False

    def worker_id(self) -> int:
        """The leased id, 0 to 1023. For every id that is made ask again: after reading the clock.

        BackendUnavailable("consul") while none is held: Consul says that the session is over, it has
        not yet been asked after this process stood still, or the clock is behind what was used before.
        """
        problem = self.problem()
        if problem is not None or self._held is None:
            raise BackendUnavailable("consul")
        self._last_timestamp = max(self._last_timestamp, self._clocks.wall())
        return self._held.worker

    @property
    def not_before_millis(self) -> int:
        """No id of this Unix millisecond or before may be made: a previous holder may have made it."""
        return self._not_before

    def problem(self) -> str | None:
        """Why no id can be made now, for readiness; None when it can."""
        if self._held is None:
            return "no worker id is leased"
        now = self._clocks.elapsed()
        if now - self._checked > TTL_SECONDS:
            return "the worker id lease was not checked since this process stood still"
        if now - self._contact > OFFLINE_SECONDS:
            return "Consul has been away for longer than a worker id may be kept without it"
        if not self._floor_passed:
            return "the clock is behind the last id made with this worker id"
        return None

    async def ready(self, timeout: float) -> None:
        """Waits until an id is leased. BackendUnavailable after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._taken.wait()
        except TimeoutError as error:
            raise BackendUnavailable("consul") from error

    async def run(self) -> None:
        """Leases an id, keeps it, and leases again when it is lost; until cancelled."""
        backoff = Backoff(RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS)
        while True:
            try:
                held = await self._lease()
            except ConsulAway as error:
                self._note_away(error)
                held = None
            if held is None:
                await self._clocks.sleep(backoff.next())
                continue
            backoff.reset()
            await self._keep(held)

    async def close(self) -> None:
        """Gives the id up, with the last timestamp used, so that it can be taken back at once."""
        held = self._held
        if held is None:
            return
        self._drop()
        record = self._record(max(self._last_timestamp, self._not_before), released=True)
        try:
            await self._agent.unlock(key_of(held.worker), record.encode(), held.session)
            await self._agent.end_session(held.session)
        except ConsulAway as error:
            log.warning("worker_id_not_released", worker=held.worker, why=str(error))

    async def _lease(self) -> _Held | None:
        await self._settle()
        session = await self._agent.open_session(f"worker id of {self._instance}", TTL_SECONDS)
        for _ in range(LOCK_TRIES):
            choice = await self._choose()
            if choice is None:
                log.error("worker_ids_exhausted")
                break
            not_before = self._used_before(choice)
            record = self._record(max(self._last_timestamp, not_before), released=False)
            held = _Held(choice.worker, session, record, self._clocks.elapsed())
            if await self._agent.lock(key_of(held.worker), record.encode(), session, seen=choice.seen):
                self._take(held, not_before, choice)
                return held
        await self._agent.end_session(session)
        return None

    async def _settle(self) -> None:
        if self._previous is not None:
            return
        now = self._clocks.wall()
        if await self._agent.create(BORN, str(now).encode()):
            born = now
        else:
            _index, keys = await self._agent.keys(BORN)
            born = _born(keys)
        await self._clocks.sleep(min(SETTLE_SECONDS, max(0.0, SETTLE_SECONDS - (now - born) / 1000)))

    async def _choose(self) -> Choice | None:
        _index, keys = await self._agent.keys(PREFIX)
        previous = self._previous.worker if self._previous else None
        return choose(keys, self._instance, self._clocks.wall(), previous=previous, pick=random.choice)

    def _used_before(self, choice: Choice) -> int:
        """The last Unix millisecond that another process may have used this id in; 0: none."""
        slot, previous = choice.slot, self._previous
        if slot is None or (previous and previous.worker == choice.worker and previous.stored == slot):
            return 0
        return slot.last_timestamp + (0 if slot.released else round(STORE_SECONDS * 1000))

    def _take(self, held: _Held, not_before: int, choice: Choice) -> None:
        self._held, self._not_before, self._floor_passed = held, not_before, False
        self._checked = self._contact = held.stored_at
        self._taken.set()
        self._gauge.set(1)
        self._away = False
        log.info("worker_id_leased", worker=held.worker)
        if choice.shortage:
            log.warning(
                "worker_id_not_rested", worker=held.worker, held_by=choice.slot and choice.slot.instance
            )

    async def _keep(self, held: _Held) -> None:
        while True:
            await self._clocks.sleep(min(RENEW_SECONDS, self._until_floor()))
            if not await self._stands(held):
                self._drop()
                log.warning("worker_id_lost", worker=held.worker)
                return

    def _until_floor(self) -> float:
        """Seconds until the floor is passed, or for ever. Seen here and not in `worker_id`, whose caller
        has read the clock before.
        """
        behind = self._not_before - self._clocks.wall()
        self._floor_passed = self._floor_passed or behind < 0
        return float("inf") if self._floor_passed else (behind + 1) / 1000

    async def _stands(self, held: _Held) -> bool:
        """Whether the id may still be used: True too when Consul cannot be asked."""
        started = self._clocks.elapsed()
        try:
            stands = await self._agent.renew(held.session) and await self._store(held, started)
        except ConsulAway as error:
            self._note_away(error)
            # A request that was under way while this process stood still has shown nothing.
            if self._clocks.elapsed() - started <= 2 * CALL_SECONDS + RENEW_SECONDS:
                self._checked = self._clocks.elapsed()
            return True
        if stands:
            self._checked = self._contact = started
            self._away = False
        return stands

    async def _store(self, held: _Held, now: float) -> bool:
        if now - held.stored_at < STORE_SECONDS:
            return True
        record = self._record(max(self._last_timestamp, self._not_before), released=False)
        written = await self._agent.write_locked(key_of(held.worker), record.encode(), held.session)
        held.stored, held.stored_at = record, now
        return written

    def _record(self, last_timestamp: int, *, released: bool) -> Slot:
        return Slot(self._instance, self._clocks.wall(), last_timestamp, released)

    def _drop(self) -> None:
        self._previous, self._held = self._held, None
        self._taken.clear()
        self._gauge.set(0)

    def _note_away(self, error: ConsulAway) -> None:
        if not self._away:
            log.warning("consul_away", keeping="worker id", why=str(error))
        self._away = True


def _born(keys: list[KeyValue]) -> int:
    """The time in the marker, Unix milliseconds; 0 when it is not readable."""
    slot = next((key for key in keys if key.key == BORN), None)
    try:
        return int(slot.value) if slot else 0
    except ValueError:
        return 0
