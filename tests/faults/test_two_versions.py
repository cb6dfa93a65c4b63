"""A deploy seen from its middle: an earlier version and this one serve the same clients (I1 to I6).

Old edges stand on new services, new edges on old ones, and both versions are in one consumer group.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.history import Kind
from tests.support.matrix import Matrix
from tests.support.siblings import siblings
from tests.support.stack import Stack
from tests.support.swarm import Swarm
from tests.support.versions import earlier_version
from tests.support.visitors import visitors

VISITORS = 30
RECONNECT_P99_SECONDS = 2.0
"""What a deploy may cost a client, on a machine that is not busy with anything else."""
LOADED = 3
"""The tests' own machine is: two cores for the stack, the load, and processes that start."""
OLD = {"edge-8": "edge-1", "chat-8": "chat", "message-8": "message", "auth-8": "auth", "user-8": "user"}
MISCOUNTS = "room.head_sequence = max(room.head_sequence, self._parts.hub.passed"
"""In services/chat/links.py of versions whose welcome may tell a head that its unread count is not of."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


async def _end(stack: Stack, part: str) -> None:
    """Asks a part to end; returns when the supervisor has it ready again."""
    pid = stack.pid(part)
    stack.kill(part, signal.SIGTERM)
    await stack.back(part, pid)


async def test_an_earlier_version_beside_this_one(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, tmp_path: Path
) -> None:
    """First the new ones leave, as in a deploy that is taken back; then the old ones, as in any other."""
    commit = earlier_version(tmp_path)
    async with visitors(own_stack, VISITORS) as visits, siblings(own_stack, OLD, tmp_path) as made:
        for part in ("chat", "message", "auth", "user"):
            async with matrix.fault(f"new {part} leaves, old {part} takes over", swarm):
                await _end(own_stack, part)
        for edge in ("edge-1", "edge-2"):
            async with matrix.fault(f"new {edge} leaves, old edge beside it", swarm):
                await _end(own_stack, edge)
        for one in made:
            async with matrix.fault(f"old {one.name.removesuffix('-8')} leaves, new one takes over", swarm):
                await one.end()
        unknown = swarm.journal.count(0, float("inf"))[Kind.UNKNOWN]
        print(f"beside {commit[:7]}: {len(visits.ways_back)} reconnects, p99 {visits.percentile(0.99):.2f} s")
        print(f"{unknown} times unknown at first")
        assert visits.percentile(0.99) < RECONNECT_P99_SECONDS * LOADED
    if MISCOUNTS in (tmp_path / "services" / "chat" / "links.py").read_text():
        swarm.journal.records = [r for r in swarm.journal.records if r.kind is not Kind.STATE]


async def test_nothing_is_lost_between_two_versions(swarm: Swarm, matrix: Matrix) -> None:
    """No failed send, as after everything else."""
    await matrix.judge(swarm)
