"""Each process of ours is asked to end while a swarm sends (STOP): it ends cleanly and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
from http import HTTPStatus

import httpx
import pytest

from tests.support.edges import edge_of, on_each_edge
from tests.support.eventually import eventually
from tests.support.matrix import Matrix
from tests.support.peer import Peer
from tests.support.stack import RESTART_SECONDS, Stack
from tests.support.swarm import Swarm
from tests.support.visitors import visitors

PARTS = ("auth", "user", "chat", "message", "edge-1")
SHUTTING_DOWN = 4000
VISITORS = 10
DRAIN_SECONDS = 10.0

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
    """Not ready any more and out of Consul, `goaway` with a time to come back, what was asked is answered,
    then close 4000; everybody comes back by another edge.
    """
    user = await swarm.api.register("guest")
    room = await swarm.api.create_room(user)
    async with visitors(own_stack, VISITORS) as visits, on_each_edge(own_stack) as sockets:
        socket = next(s for s in sockets if edge_of(own_stack, s.local_port) == "edge-1")
        peer = Peer(socket)
        await peer.hello(user.access_token)
        pid = own_stack.pid("edge-1")
        assert await _registered(own_stack, "edge-1")
        own_stack.kill("edge-1", signal.SIGTERM)
        told = asyncio.create_task(_is_leaving(own_stack, "edge-1"))
        goaway = (await peer.until(lambda frame: "goaway" in frame, RESTART_SECONDS))["goaway"]
        assert goaway["reason"] == "DRAINING"
        assert float(goaway["reconnectAfter"].removesuffix("s")) >= 0
        assert (await peer.send(room, "one last thing"))["sequence"] == "2"
        assert (await peer.closed(RESTART_SECONDS)).code == SHUTTING_DOWN
        await peer.end()
        await told
        await own_stack.back("edge-1", pid)
        await visits.all_inside()
    print(visits.figures())
    assert visits.ways_back


async def _is_leaving(stack: Stack, part: str) -> None:
    """Whoever asks its readiness or Consul is told, while it still serves."""
    url = f"http://127.0.0.1:{stack.state()['urls']['metricsPorts'][part]}/readyz"
    async with httpx.AsyncClient(trust_env=False) as client:

        async def told() -> bool:
            try:
                answer = await client.get(url)
            except httpx.TransportError:  # it is gone already
                return False
            out = not await _registered(stack, part)
            return out and answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "draining" in answer.text

        await eventually(told, seconds=DRAIN_SECONDS, what=f"the word that {part} leaves")


async def _registered(stack: Stack, part: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        return part in (await client.get(f"http://{stack.consul_addr}/v1/agent/services")).json()
