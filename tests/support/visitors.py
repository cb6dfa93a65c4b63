"""Clients that only stay connected, and write down how long each way back took."""

from __future__ import annotations

import asyncio
import bisect
import math
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.exceptions import InvalidHandshake, InvalidMessage

from tests.support.api import Api, User
from tests.support.eventually import eventually
from tests.support.peer import Peer, Refused
from tests.support.stack import Stack
from tests.support.transports import Closed, open_json

AGAIN_SECONDS = (0.05, 0.2)
"""Before another try, when an edge did not let them in."""
OPEN_SECONDS = 60.0
RECONNECT_P99_SECONDS = 2.0
"""What a deploy may cost a client, on a machine that is not busy with anything else."""
QUIET_SECONDS = 0.02
"""What a connection and its `welcome` take there in the middle, while nothing leaves."""
PLAIN_VISITS = 50


@dataclass
class Visits:
    """What all visitors saw, and how many they are."""

    count: int
    inside: int = 0
    ways_back: list[tuple[float, float]] = field(default_factory=list)
    """When a connection was lost, and how many seconds later its successor was welcomed."""

    def percentile(self, share: float, since: float = 0.0) -> float:
        """Of the seconds of the ways back begun after `since`; infinite when there were none."""
        return percentile([seconds for lost, seconds in self.ways_back if lost >= since], share)

    def figures(self, bound: float = RECONNECT_P99_SECONDS) -> str:
        """For a person: what a way back took, beside what it may take."""
        return (
            f"{len(self.ways_back)} reconnects of {self.count} visitors, p50 {self.percentile(0.5):.2f} s, "
            f"p99 {self.percentile(0.99):.2f} s; promised {RECONNECT_P99_SECONDS:g} s, here {bound:.1f} s"
        )

    async def all_inside(self) -> None:
        """Returns when nobody is on the way. Raises TimeoutError after OPEN_SECONDS."""

        async def all_are() -> bool:
            return self.inside == self.count

        await eventually(all_are, seconds=OPEN_SECONDS, what=f"the return of all {self.count} visitors")

    def most_at_once(self, since: float, within: float) -> int:
        """The most connections lost in any stretch of `within` seconds after `since`."""
        lost = sorted(lost for lost, _ in self.ways_back if lost >= since)
        return max((bisect.bisect(lost, one + within) - n for n, one in enumerate(lost)), default=0)


@asynccontextmanager
async def visitors(stack: Stack, count: int) -> AsyncIterator[Visits]:
    """Connected, each as a user of its own, to any edge, until the block ends.

    Raises TimeoutError when some are not inside at its beginning, or not again at its end.
    """
    api = Api(stack.http_url)
    users = [await api.register("visitor") for _ in range(count)]
    await api.close()
    visits = Visits(count)
    running = [asyncio.create_task(_stay(stack, user, visits)) for user in users]
    try:
        await visits.all_inside()
        yield visits
        await visits.all_inside()
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def reconnect_bound(stack: Stack) -> float:
    """What the p99 of a way back may be on this machine now, in seconds: twice as long for a machine on which
    a plain connection, while nothing leaves, takes twice as long as on a quiet one.
    """
    api = Api(stack.http_url)
    user = await api.register("plain")
    await api.close()
    took = []
    for _ in range(PLAIN_VISITS):
        began = time.monotonic()
        peer = Peer(await open_json(stack.ws_url))
        await peer.hello(user.access_token)
        took.append(time.monotonic() - began)
        await peer.end()
    return RECONNECT_P99_SECONDS * max(1.0, percentile(took, 0.5) / QUIET_SECONDS)


def percentile(seconds: Sequence[float], share: float) -> float:
    """Infinite when there are none."""
    took = sorted(seconds)
    return took[min(len(took) - 1, int(share * len(took)))] if took else math.inf


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
