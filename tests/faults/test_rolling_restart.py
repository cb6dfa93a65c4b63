"""Each process of ours is asked to end while a swarm sends (STOP): it ends cleanly and nothing is lost."""

from __future__ import annotations

import signal

import pytest

from tests.support.edges import edge_of, on_each_edge
from tests.support.matrix import Matrix
from tests.support.peer import Peer
from tests.support.stack import RESTART_SECONDS, Stack
from tests.support.swarm import Swarm

PARTS = ("auth", "user", "chat", "message", "edge-1")
SHUTTING_DOWN = 4000

pytestmark = pytest.mark.timeout(300)


async def _restarted(stack: Stack, part: str) -> None:
    """Asks a part to end; returns when it ended with status 0 and runs again."""
    pid = stack.pid(part)
    log = stack.data / "logs" / "up.log"
    told = log.stat().st_size
    stack.kill(part, signal.SIGTERM)
    await stack.back(part, pid)
    assert f"{part} ended with status 0" in log.read_text()[told:]


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_is_asked_to_end_loses_nothing(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, part: str
) -> None:
    """SIGTERM; exit status 0; every client sends on."""
    async with matrix.fault(f"{part} asked to end", swarm):
        await _restarted(own_stack, part)


async def test_after_all_restarts_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """As after the kills."""
    await matrix.judge(swarm)


async def test_an_edge_says_when_it_goes(own_stack: Stack, swarm: Swarm) -> None:
    """`goaway` with a time to come back, what was asked is answered, then close 4000."""
    user = await swarm.api.register("guest")
    room = await swarm.api.create_room(user)
    async with on_each_edge(own_stack) as sockets:
        socket = next(s for s in sockets if edge_of(own_stack, s.local_port) == "edge-1")
        peer = Peer(socket)
        await peer.hello(user.access_token)
        pid = own_stack.pid("edge-1")
        own_stack.kill("edge-1", signal.SIGTERM)
        goaway = (await peer.until(lambda frame: "goaway" in frame, RESTART_SECONDS))["goaway"]
        assert goaway["reason"] == "DRAINING"
        assert float(goaway["reconnectAfter"].removesuffix("s")) >= 0
        assert (await peer.send(room, "one last thing"))["sequence"] == "2"
        assert (await peer.closed(RESTART_SECONDS)).code == SHUTTING_DOWN
        await peer.end()
    await own_stack.back("edge-1", pid)
