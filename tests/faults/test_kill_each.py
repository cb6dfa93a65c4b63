"""Each part is killed once while a swarm sends (I8): all come back by themselves and nothing is lost."""

from __future__ import annotations

import pytest

from tests.support.matrix import Matrix
from tests.support.stack import Stack
from tests.support.swarm import Swarm

PARTS = ("auth", "user", "chat", "message", "edge-1", "redis", "consul", "postgres", "kafka")

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("part", PARTS)
async def test_a_killed_part_comes_back_and_sends_are_answered(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, part: str
) -> None:
    """SIGKILL in the middle of the traffic; within 30 s of its return every client sends again."""
    async with matrix.fault(f"{part} killed", swarm):
        pid, log = own_stack.pid(part), own_stack.data / "logs" / "up.log"
        told = log.stat().st_size
        own_stack.kill(part)
        await own_stack.back(part, pid)
    assert f"{part} was ended by SIGKILL; restarting it" in log.read_text()[told:]


async def test_after_all_kills_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """Every message answered and stored once, sequences gapless, every view complete, unread right."""
    await matrix.judge(swarm)
