"""Each part is killed once while a swarm sends (I8): all come back by themselves and nothing is lost."""

from __future__ import annotations

import time

import pytest

from tests.support.eventually import eventually
from tests.support.fault_table import FaultTable
from tests.support.stack import Stack
from tests.support.swarm import Swarm

PARTS = ("auth", "user", "chat", "message", "edge-1", "redis", "consul", "postgres", "kafka")
HEAL_SECONDS = 30.0
"""After the part is back, every client has a new `sent` in this time (HEAL)."""
ANSWER_SECONDS = 10.0
"""A send is answered or its connection closed within 5 s (ANSWER); twice that for two busy cores."""
RESTART_SECONDS = 60.0
"""For the supervisor to start a part again; Kafka's Java takes longest."""
BEFORE_SECONDS = 30.0

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("part", PARTS)
async def test_a_killed_part_comes_back_and_sends_are_answered(
    own_stack: Stack, swarm: Swarm, table: FaultTable, part: str
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
    table.add(f"kill {part}", swarm.journal, killed, back)


async def test_after_all_kills_nothing_is_lost(swarm: Swarm, table: FaultTable) -> None:
    """Every message answered and stored once, sequences gapless, every view complete, unread right."""
    await swarm.finish()
    violations = await swarm.judge()
    table.close(swarm.journal, len(violations))
    assert violations == []
    assert swarm.unanswered() == []
    assert swarm.journal.slowest_answer < ANSWER_SECONDS
