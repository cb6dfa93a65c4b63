"""Faults at random from a seed (`./scripts/nemesis`), on the stack of the other fault tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.nemesis.catalogue import all_faults
from tests.nemesis.fault import World
from tests.nemesis.report import Report
from tests.nemesis.run import strike
from tests.nemesis.schedule import draw
from tests.support.armed import Armory
from tests.support.matrix import Matrix
from tests.support.stack import Stack
from tests.support.swarm import Swarm, running_swarm
from tests.support.wanderers import wanderers

SHORT_SECONDS, LONG_SECONDS = 35.0, 600.0
SHORT_SEED, LONG_SEED = 1, 2
STEPS = 400
CLIENTS, ROOMS, WANDERERS = 20, 5, 4

pytestmark = pytest.mark.timeout(1200)


@pytest_asyncio.fixture
async def fresh_swarm(own_stack: Stack) -> AsyncIterator[Swarm]:
    """Is sending, and is judged at the end of each test."""
    async with running_swarm(own_stack, clients=CLIENTS, rooms=ROOMS, calls=True) as running:
        running.start_sending()
        yield running


@pytest.mark.parametrize(
    ("seconds", "seed"),
    [
        (SHORT_SECONDS, SHORT_SEED),
        pytest.param(LONG_SECONDS, LONG_SEED, marks=pytest.mark.long),
    ],
)
async def test_faults_at_random_break_no_promise(
    armory: Armory, fresh_swarm: Swarm, matrix: Matrix, seconds: float, seed: int
) -> None:
    """I1 to I6, a definite answer to everything, and normal figures within 30 s after each step."""
    report = Report(seed)
    async with wanderers(armory.stack, fresh_swarm, count=WANDERERS, seed=seed) as wandering:
        world = World(armory.stack, fresh_swarm, wandering, armory)
        await strike(world, draw(seed, all_faults(), STEPS), seconds, report, print)
    lines = "\n".join(report.lines())
    print(lines)
    slowest = max((took for took, _ in report.normal_after), default=0.0)
    name = f"nemesis, seed {seed}, {seconds:.0f} s, {sum(report.faults.values())} faults"
    matrix.add(name, seconds=slowest, result="clean" if not report.broken else "broken promises")
    assert report.broken == [], lines
    assert report.faults
