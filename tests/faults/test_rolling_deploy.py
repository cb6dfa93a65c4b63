"""Deploys under load (STOP): instances leave one after the other, and another takes over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.matrix import Matrix
from tests.support.outages import asked_to_end
from tests.support.siblings import Sibling, siblings
from tests.support.stack import Stack
from tests.support.swarm import Swarm
from tests.support.visitors import Visits, reconnect_bound, visitors

VISITORS = 30
ROUNDS = 5
WAVE_SECONDS = 1.0
WAVE_SHARE = 0.6
"""An edge spreads its goodbyes over 7 s: no second has more than this of them."""

pytestmark = pytest.mark.timeout(600)


@pytest_asyncio.fixture(scope="module")
async def second(own_stack: Stack) -> AsyncIterator[dict[str, Sibling]]:
    """A second instance of chat and message."""
    async with siblings(own_stack, {"chat-2": "chat", "message-2": "message"}) as made:
        yield {one.name: one for one in made}


async def _roll(stack: Stack, swarm: Swarm, second: dict[str, Sibling]) -> None:
    """Each instance of chat and message in turn, the next one when all is normal with the last one back."""
    for name, sibling in second.items():
        await sibling.end()
        await sibling.start()
        await swarm.normal(time.monotonic(), 30)
        await asked_to_end(stack, name.removesuffix("-2"))
        await swarm.normal(time.monotonic(), 30)


async def test_two_instances_of_chat_and_message_leave_in_turn(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, second: dict[str, Sibling]
) -> None:
    """The other one takes over."""
    async with matrix.fault("rolling restart of chat and message", swarm):
        await _roll(own_stack, swarm, second)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_five_rolling_restarts_of_everything(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, second: dict[str, Sibling]
) -> None:
    """Every process in turn, five times: clients are back soon, and never all in the same second."""
    before = await reconnect_bound(own_stack)
    async with visitors(own_stack, VISITORS) as visits:
        for _ in range(ROUNDS):
            async with matrix.fault("rolling restart of everything", swarm):
                for part in ("auth", "user"):
                    await asked_to_end(own_stack, part)
                await _roll(own_stack, swarm, second)
                for edge in ("edge-1", "edge-2"):
                    await _edge_leaves(own_stack, edge, visits)
                    await swarm.normal(time.monotonic(), 30)
    bound = max(before, await reconnect_bound(own_stack))
    print(visits.figures(bound))
    assert len(visits.ways_back) >= VISITORS * ROUNDS
    assert visits.percentile(0.99) < bound


async def _edge_leaves(stack: Stack, edge: str, visits: Visits) -> None:
    asked = time.monotonic()
    await asked_to_end(stack, edge)
    lost = sum(one >= asked for one, _ in visits.ways_back)
    assert visits.most_at_once(asked, WAVE_SECONDS) <= max(3, WAVE_SHARE * lost)


async def test_nothing_is_lost_by_it(swarm: Swarm, matrix: Matrix) -> None:
    """No failed send, as after everything else."""
    await matrix.judge(swarm)
