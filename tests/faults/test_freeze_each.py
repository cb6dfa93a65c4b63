"""Each part stops answering for a while without dying, while a swarm sends (I8)."""

from __future__ import annotations

import pytest

from tests.support.matrix import Matrix
from tests.support.outages import frozen
from tests.support.sight import sight
from tests.support.signs import OUTAGE
from tests.support.stack import Stack
from tests.support.swarm import Swarm

PARTS = ("auth", "user", "chat", "message", "edge-1", "redis", "consul", "postgres", "kafka")
FROZEN_SECONDS = 7.0
"""Longer than a send may take (5 s) and than the deadlines of every call in between."""

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("part", PARTS)
async def test_a_frozen_part_goes_on_and_sends_are_answered(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, part: str
) -> None:
    """SIGSTOP, then SIGCONT: what was cut off, given up or late does no harm, and who calls it says so."""
    async with matrix.fault(f"{part} frozen {FROZEN_SECONDS:.0f} s", swarm), sight(own_stack) as seen:
        pid = own_stack.pid(part)
        with frozen(own_stack, part):
            await seen.lasts(OUTAGE.get(part), FROZEN_SECONDS)
    assert own_stack.pid(part) == pid


async def test_after_all_freezes_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """As after the kills."""
    await matrix.judge(swarm)
