"""Many clients whose connections break all the time: nothing lost, nothing twice, all in order."""

from __future__ import annotations

import random
import time

from tests.support.history import Kind
from tests.support.stack import Stack
from tests.support.swarm import running_swarm

CUTS = 40
ROUNDS_SECONDS = 30.0


async def test_connections_that_break_lose_nothing(stack: Stack) -> None:
    """Clients of both codecs on both edges, cut off at random while they send; then I1 to I6 hold."""
    chance = random.Random(7)
    async with running_swarm(stack, clients=10, rooms=3) as swarm:
        swarm.start_sending()
        for _ in range(CUTS // 4):
            before = time.monotonic()
            for client in chance.sample(list(swarm.clients), 4):
                client.cut()
            await swarm.everyone_sent(before, ROUNDS_SECONDS)
        await swarm.finish()
        assert sum(client.connections for client in swarm.clients) >= CUTS
        assert await swarm.judge() == []
        assert swarm.journal.count(0, float("inf"))[Kind.OK] > 10 * CUTS // 4
