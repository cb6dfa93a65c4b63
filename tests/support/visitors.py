"""Clients that only stay connected, and write down how long each way back took."""

from __future__ import annotations

import asyncio
import bisect
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.exceptions import InvalidHandshake, InvalidMessage

from tests.support.api import Api, User
from tests.support.peer import Peer, Refused
from tests.support.stack import Stack
from tests.support.transports import Closed, open_json

AGAIN_SECONDS = (0.05, 0.2)
"""Before another try, when an edge did not let them in."""
OPEN_SECONDS = 60.0


@dataclass
class Visits:
    """What all visitors saw."""

    inside: int = 0
    ways_back: list[tuple[float, float]] = field(default_factory=list)
    """When a connection was lost, and how many seconds later its successor was welcomed."""

    def percentile(self, share: float, since: float = 0.0) -> float:
        """Of the seconds of the ways back begun after `since`; 0 when there were none."""
        took = sorted(seconds for lost, seconds in self.ways_back if lost >= since)
        return took[min(len(took) - 1, int(share * len(took)))] if took else 0.0

    def most_at_once(self, since: float, within: float) -> int:
        """The most connections lost in any stretch of `within` seconds after `since`."""
        lost = sorted(lost for lost, _ in self.ways_back if lost >= since)
        return max((bisect.bisect(lost, one + within) - n for n, one in enumerate(lost)), default=0)


@asynccontextmanager
async def visitors(stack: Stack, count: int) -> AsyncIterator[Visits]:
    """Connected, each as a user of its own, to any edge, until the block ends."""
    api = Api(stack.http_url)
    users = [await api.register("visitor") for _ in range(count)]
    await api.close()
    visits = Visits()
    running = [asyncio.create_task(_stay(stack, user, visits)) for user in users]
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            while visits.inside < count:  # noqa: ASYNC110 — all of them, looked at rarely
                await asyncio.sleep(0.05)
        yield visits
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def _stay(stack: Stack, user: User, visits: Visits) -> None:
    lost: float | None = None
    while True:
        try:
            peer = Peer(await open_json(stack.ws_url), lambda _frame: None)
        except (OSError, TimeoutError, InvalidHandshake, InvalidMessage):
            await asyncio.sleep(random.uniform(*AGAIN_SECONDS))
            continue
        try:
            await peer.hello(user.access_token)
            if lost is not None:
                visits.ways_back.append((lost, time.monotonic() - lost))
            visits.inside += 1
            await asyncio.wait([peer.over])
            visits.inside -= 1
            lost = time.monotonic()
        except (Closed, Refused, TimeoutError):
            await asyncio.sleep(random.uniform(*AGAIN_SECONDS))
        finally:
            await peer.end()
