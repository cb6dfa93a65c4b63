"""Each part is killed once while a swarm sends (I8): all come back by themselves and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.eventually import eventually
from tests.support.history import Kind
from tests.support.stack import Stack, running_stack
from tests.support.swarm import Swarm, running_swarm

PARTS = ("auth", "user", "chat", "message", "edge-1", "redis", "consul", "postgres", "kafka")
CLIENTS, ROOMS = 20, 5
HEAL_SECONDS = 30.0
"""After the part is back, every client has a new `sent` in this time (reliability.md section 1, HEAL)."""
RESTART_SECONDS = 60.0
"""For the supervisor to start a part again; Kafka's Java takes longest."""
BEFORE_SECONDS = 20.0

pytestmark = pytest.mark.timeout(480)


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """A stack that nobody else uses: its parts are killed."""
    with running_stack() as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def swarm(own_stack: Stack) -> AsyncIterator[Swarm]:
    """Sends from the first fault to the last."""
    async with running_swarm(own_stack, clients=CLIENTS, rooms=ROOMS) as running:
        running.start_sending()
        yield running


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """One row a fault, printed at the end."""
    rows = [f"{'part':<10} {'sent':>6} {'unknown':>8} {'back s':>8} {'first s':>8} {'all s':>8}"]
    yield rows
    print("\n" + "\n".join(rows))


@pytest.mark.parametrize("part", PARTS)
async def test_a_killed_part_comes_back_and_sends_are_answered(
    own_stack: Stack, swarm: Swarm, table: list[str], part: str
) -> None:
    """SIGKILL in the middle of the traffic; within 30 s of its return every client sends again."""
    await swarm.everyone_sent(time.monotonic(), BEFORE_SECONDS)
    pid = own_stack.pid(part)
    killed = time.monotonic()
    own_stack.kill(part)

    async def is_back() -> bool:
        found = own_stack.part(part)
        return found["state"] == "ready" and found["pid"] not in (None, pid)

    await eventually(is_back, seconds=RESTART_SECONDS, what=f"the return of {part}")
    back = time.monotonic()
    await swarm.everyone_sent(killed, HEAL_SECONDS)
    answers = swarm.journal.first_answers(killed).values()
    seen = swarm.journal.count(killed, max(answers))
    seconds = [back - killed, min(answers) - killed, max(answers) - killed]
    times = "".join(f"{value:>9.1f}" for value in seconds)
    table.append(f"{part:<10} {seen[Kind.OK]:>6} {seen[Kind.UNKNOWN]:>8}{times}")


async def test_after_all_faults_nothing_is_lost(swarm: Swarm, table: list[str]) -> None:
    """Every acknowledged message once, sequences gapless, every view complete, unread right."""
    await swarm.finish()
    violations = await swarm.judge()
    count = swarm.journal.count(0, float("inf"))
    table.append(
        f"{count[Kind.INVOKE]} messages, {count[Kind.OK]} answered `sent`, {count[Kind.RECEIVE]} deliveries, "
        f"{count[Kind.GAP]} gaps, slowest answer {swarm.journal.slowest_answer:.1f} s, "
        f"{len(violations)} violations"
    )
    assert count[Kind.OK] == count[Kind.INVOKE]
    assert violations == []
