"""Finds and mends what lost hints left behind: heads are compared, room lists read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from chassis import logs
from chassis.errors import Failure
from chassis.kafka import partition_of
from services.chat.hub import Hub
from services.chat.placement import Placement

RETRY_SECONDS = 1.0
DOUBT_SECONDS = 1.0
"""How often users whose lists are in doubt are looked for."""

log = logs.get("chat")


class Repair:
    """Works off requests one after another; what comes up meanwhile is joined into the next round."""

    def __init__(
        self,
        hub: Hub,
        placement: Placement,
        *,
        on_compare: Callable[[int], None] = lambda _behind: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._hub = hub
        self._placement = placement
        self._on_compare = on_compare
        self._sleep = sleep
        self._partitions: set[int] = set()
        self._wake = asyncio.Event()

    def request(self, partitions: Iterable[int]) -> None:
        """Hints of these partitions may be lost: compare their rooms and read all users' lists again."""
        self._partitions.update(partitions)
        self._wake.set()

    async def run(self) -> None:
        """Repairs until cancelled; what fails is tried again a second later."""
        while True:
            try:
                async with asyncio.timeout(DOUBT_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                if not self._hub.doubtful:
                    continue
            self._wake.clear()
            try:
                await self.repair()
            except Failure as failure:
                log.warning("repair_failed", reason=failure.reason, message=failure.message)
                self._wake.set()
                await self._sleep(RETRY_SECONDS)

    async def repair(self) -> None:
        """One round. Raises a Failure; what was asked for is then still asked for."""
        partitions, self._partitions = self._partitions, set()
        doubtful, self._hub.doubtful = self._hub.doubtful, set()
        try:
            await self._repair(partitions, doubtful)
        except Failure:
            self._partitions |= partitions
            self._hub.doubtful |= doubtful
            raise

    async def _repair(self, partitions: set[int], doubtful: set[int]) -> None:
        if partitions:
            rooms = [room_id for room_id in self._hub.rooms if partition_of(room_id) in partitions]
            self._on_compare(await self._placement.compare(rooms))
        users = set(self._hub.users) if partitions else doubtful & set(self._hub.users)
        if users:
            await self._placement.read_again(users)
