"""Finds and mends what lost hints left behind: heads are compared, room lists read again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterable

from chassis import logs
from chassis.errors import Failure
from chassis.kafka import partition_of
from services.chat.hub import Hub
from services.chat.placement import Placement
from services.chat.ports import Clock

RETRY_SECONDS = 1.0
LOOK_SECONDS = 1.0
"""How often it is looked for users whose lists are in doubt or were asked for too early."""
USERS_AT_ONCE = 100
"""Whose lists are in memory together, and for how many of them a room that is behind has to wait."""
LISTS_SECONDS = 5.0
"""At least, between two readings of everybody's lists: a new owner asks for comparing several times."""

log = logs.get("chat")


class Repair:
    """Works off requests one after another; what comes up meanwhile is joined into the next round."""

    def __init__(
        self,
        hub: Hub,
        placement: Placement,
        clock: Clock,
        *,
        on_compare: Callable[[int], None] = lambda _behind: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._hub = hub
        self._placement = placement
        self._on_compare = on_compare
        self._sleep = sleep
        self._partitions: set[int] = set()
        self._lists_due = False
        self._lists_after = float("-inf")
        self._clock = clock
        self._wake = asyncio.Event()

    def request(self, partitions: Iterable[int]) -> None:
        """Hints of these partitions may be lost: compare their rooms and read all users' lists again."""
        self._partitions.update(partitions)
        self._lists_due = True
        self._wake.set()

    async def run(self) -> None:
        """Repairs until cancelled; what fails is tried again a second later."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.repair()
            except Failure as failure:
                log.warning("repair_failed", reason=failure.reason, message=failure.message)
                self._wake.set()
                await self._sleep(RETRY_SECONDS)

    async def repair(self) -> None:
        """One round of what is due: all rooms to compare, and the lists of some users.

        Raises a Failure; what was asked for is then still asked for.
        """
        await self._compare()
        if self._lists_due and self._clock() >= self._lists_after:
            self._lists_due = False
            self._hub.doubtful.update(self._hub.users)
            self._lists_after = self._clock() + LISTS_SECONDS
        users = set(itertools.islice(self._hub.doubtful, USERS_AT_ONCE))
        self._hub.doubtful -= users
        if self._hub.doubtful:
            self._wake.set()
        try:
            await self._placement.read_again([user for user in users if user in self._hub.users])
        except Failure:
            self._hub.doubtful |= users
            raise

    async def _compare(self) -> None:
        partitions, self._partitions = self._partitions, set()
        rooms, self._hub.uncompared = self._hub.uncompared, set()
        if partitions:
            rooms.update(room_id for room_id in self._hub.rooms if partition_of(room_id) in partitions)
        try:
            behind = await self._placement.compare(rooms)
        except Failure:
            self._partitions |= partitions
            self._hub.uncompared |= rooms & set(self._hub.rooms)
            raise
        if partitions:
            self._on_compare(behind)
