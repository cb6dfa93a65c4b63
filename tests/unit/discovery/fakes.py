"""A Consul in memory and a time that a test moves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from discovery.agent import Agent, ConsulAway, KeyValue
from discovery.worker_lease import Clocks


class FakeAgent(Agent):
    """Sessions and keys in dicts. `reachable = False`: every request fails as when Consul is away."""

    def __init__(self) -> None:
        self.store: dict[str, KeyValue] = {}
        self.sessions: set[str] = set()
        self.reachable = True
        self.renewed = 0
        self._numbers: Iterator[int] = itertools.count(1)

    def invalidate(self) -> None:
        """Ends every session, as their TTL does."""
        self.sessions.clear()
        for key, item in self.store.items():
            self.store[key] = KeyValue(key, item.value, "", item.modify_index)

    async def keys(self, prefix: str, index: int = 0, wait: float = 0.0) -> tuple[int, list[KeyValue]]:
        self._check()
        return 1, [item for key, item in sorted(self.store.items()) if key.startswith(prefix)]

    async def create(self, key: str, value: bytes) -> bool:
        self._check()
        if key in self.store:
            return False
        self._write(key, value, "")
        return True

    async def open_session(self, name: str, ttl_seconds: int) -> str:
        self._check()
        session = f"session-{next(self._numbers)}"
        self.sessions.add(session)
        return session

    async def renew(self, session: str) -> bool:
        self._check()
        self.renewed += 1
        return session in self.sessions

    async def end_session(self, session: str) -> None:
        self._check()
        self.sessions.discard(session)

    async def lock(self, key: str, value: bytes, session: str, *, seen: KeyValue | None) -> bool:
        self._check()
        if self.store.get(key) != seen or (seen and seen.session) or session not in self.sessions:
            return False
        self._write(key, value, session)
        return True

    async def write_locked(self, key: str, value: bytes, session: str) -> bool:
        self._check()
        if key not in self.store or self.store[key].session != session:
            return False
        self._write(key, value, session)
        return True

    async def unlock(self, key: str, value: bytes, session: str) -> bool:
        self._check()
        self._write(key, value, "")
        return True

    def _write(self, key: str, value: bytes, session: str) -> None:
        self.store[key] = KeyValue(key, value, session, next(self._numbers))

    def _check(self) -> None:
        if not self.reachable:
            raise ConsulAway("told to be away")


class Time:
    """Stands still until `advance`; tasks that sleep on it wake in order."""

    def __init__(self, wall: int = 1_800_000_000_000) -> None:
        self.seconds = 1000.0
        self.wall_millis = wall
        self._moved = asyncio.Event()

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall_millis, lambda: self.seconds, self.sleep)

    async def sleep(self, seconds: float) -> None:
        due = self.seconds + seconds
        while self.seconds < due:
            await self._moved.wait()

    async def advance(self, seconds: float, *, step: float = 0.5) -> None:
        """Moves both clocks on in steps, and lets every task run after each."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.jump(min(step, end - self.seconds))
            await self.settle()

    def jump(self, seconds: float) -> None:
        """Moves both clocks at once, as for a process that stood still; nothing runs meanwhile."""
        self.seconds += seconds
        self.wall_millis += round(seconds * 1000)
        self._moved.set()
        self._moved = asyncio.Event()

    async def settle(self) -> None:
        """Lets every task run until it waits."""
        for _ in range(50):
            await asyncio.sleep(0)
