"""Many clients whose connections break all the time: nothing lost, nothing twice, all in order."""

from __future__ import annotations

import random
import time

from tests.support.forging import Forger, ago
from tests.support.history import Kind
from tests.support.peer import Connect
from tests.support.stack import Stack
from tests.support.swarm import running_swarm

CUTS = 40
ROUNDS_SECONDS = 30.0
TOKEN_SECONDS = 4


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


async def test_a_swarm_outlives_its_tokens(stack: Stack, connect: Connect) -> None:
    """Nobody loses a connection by it, and nothing is refused: what is signed in for longer than a token
    lasts has a new one in time."""
    async with running_swarm(stack, clients=4, rooms=2) as swarm:
        forger = Forger(stack)
        for client in swarm.clients:
            client.user.access_token = forger.token(client.user, claims={"exp": ago(-TOKEN_SECONDS)})
            client.cut()
        another = await connect(swarm.clients[0].user)
        swarm.start_sending()
        assert (await another.closed(seconds=3 * TOKEN_SECONDS)).code == 4101
        before = time.monotonic()
        await swarm.everyone_sent(before, ROUNDS_SECONDS)
        swarm.witness.access_token = forger.token(swarm.witness, claims={"exp": ago(60)})
        await swarm.api.log(swarm.witness, swarm.rooms[0])
        await swarm.finish()
        assert [client.connections for client in swarm.clients] == [2] * 4
        assert await swarm.judge() == []
