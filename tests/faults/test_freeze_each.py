"""Each part stops answering for a while without dying, while a swarm sends (I8)."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.support.matrix import Matrix
from tests.support.stack import Stack
from tests.support.swarm import Swarm

PARTS = ("auth", "chat", "message", "edge-1", "redis", "consul", "postgres", "kafka")
FROZEN_SECONDS = 7.0
"""Longer than a send may take (5 s) and than the deadlines of every call in between."""

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("part", PARTS)
async def test_a_frozen_part_goes_on_and_sends_are_answered(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, part: str
) -> None:
    """SIGSTOP, then SIGCONT: what was cut off, given up or late does no harm."""
    async with matrix.fault(f"{part} frozen {FROZEN_SECONDS:.0f} s", swarm):
        pid = own_stack.pid(part)
        family = _family(pid)
        try:
            for member in family:
                os.kill(member, signal.SIGSTOP)
            # The fault itself lasts a time; nothing is waited for.
            await asyncio.sleep(FROZEN_SECONDS)
        finally:
            for member in family:
                os.kill(member, signal.SIGCONT)
    assert own_stack.pid(part) == pid


async def test_after_all_freezes_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """As after the kills."""
    await matrix.judge(swarm)


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
