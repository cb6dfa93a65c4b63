"""Each part stops answering for a while without dying, while a swarm sends (I8)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.fault_table import FaultTable
from tests.support.stack import Stack
from tests.support.swarm import Swarm

PARTS = ("auth", "chat", "message", "edge-1", "redis", "consul", "postgres", "kafka")
FROZEN_SECONDS = 7.0
"""Longer than a send may take (5 s) and than the deadlines of every call in between."""
HEAL_SECONDS = 30.0
BEFORE_SECONDS = 30.0

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("part", PARTS)
async def test_a_frozen_part_goes_on_and_sends_are_answered(
    own_stack: Stack, swarm: Swarm, table: FaultTable, part: str
) -> None:
    """SIGSTOP, then SIGCONT: what was cut off, given up or late does no harm."""
    await swarm.everyone_sent(time.monotonic(), BEFORE_SECONDS)
    pid = own_stack.pid(part)
    family = _family(pid)
    frozen = time.monotonic()
    try:
        for member in family:
            os.kill(member, signal.SIGSTOP)
        # The fault itself lasts a time; nothing is waited for.
        await asyncio.sleep(FROZEN_SECONDS)
    finally:
        for member in family:
            os.kill(member, signal.SIGCONT)
    thawed = time.monotonic()
    await swarm.everyone_sent(thawed, HEAL_SECONDS)
    assert own_stack.pid(part) == pid
    table.add(f"freeze {part}", swarm.journal, frozen, thawed)


async def test_after_all_freezes_nothing_is_lost(swarm: Swarm, table: FaultTable) -> None:
    """As after the kills."""
    await swarm.finish()
    violations = await swarm.judge()
    table.close(swarm.journal, len(violations))
    assert violations == []
    assert swarm.unanswered() == []


def _family(pid: int) -> list[int]:
    """A process and all below it: PostgreSQL's work is done by its children."""
    found = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found += _family(int(stat.parent.name))
    return found
