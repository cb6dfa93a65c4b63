"""No file descriptor left: new connections are shed, live ones go on, nothing spins (I7)."""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest

from tests.support.descriptors import cpu_seconds, without_descriptors
from tests.support.edges import edges, on_each_edge
from tests.support.matrix import Matrix
from tests.support.stack import Stack
from tests.support.swarm import Swarm

KNOCKS = 20
SHED_SECONDS = 5.0
NOT_READY_SECONDS, READY_SECONDS = 2.0, 10.0
SEND_SECONDS = 20.0
MEASURED_SECONDS = 2.0
SPINNING = 3.0
"""A process that spins uses more than this many times the processor that it used before, and a bit."""
BIT_SECONDS = 0.3

pytestmark = pytest.mark.timeout(120)


async def test_an_edge_without_descriptors_sheds_and_keeps(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """Who knocks is not kept waiting, who is in talks on, and afterwards everybody gets in."""
    pids = [own_stack.pid(edge) for edge in edges(own_stack)]
    async with matrix.fault("edges without descriptors", swarm):
        usual = await _cpu_used(pids)
        with without_descriptors(*pids):
            began = time.monotonic()
            answers = await asyncio.gather(*(_knock(own_stack) for _ in range(KNOCKS)))
            assert answers == [b""] * KNOCKS
            assert await _cpu_used(pids) < SPINNING * usual + BIT_SECONDS
            await swarm.everyone_sent(began, SEND_SECONDS)
    async with on_each_edge(own_stack) as found:
        assert len(found) == len(pids)
    assert pids == [own_stack.pid(edge) for edge in edges(own_stack)]


@pytest.mark.parametrize("service", ["chat", pytest.param("message", marks=pytest.mark.long)])
async def test_a_service_without_descriptors_sheds_and_keeps(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, service: str
) -> None:
    """The same for gRPC: no new channel gets ready, calls on the old ones are answered."""
    pid, address = own_stack.pid(service), own_stack.grpc_address(service)
    async with matrix.fault(f"{service} without descriptors", swarm):
        usual = await _cpu_used([pid])
        with without_descriptors(pid):
            began = time.monotonic()
            assert not any(
                await asyncio.gather(*(_gets_ready(address, NOT_READY_SECONDS) for _ in range(KNOCKS)))
            )
            assert await _cpu_used([pid]) < SPINNING * usual + BIT_SECONDS
            await swarm.everyone_sent(began, SEND_SECONDS)
    assert await _gets_ready(address, READY_SECONDS)
    assert own_stack.pid(service) == pid


async def test_after_all_shortages_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """One log, and everyone saw it."""
    await matrix.judge(swarm)


async def _knock(stack: Stack) -> bytes:
    """What an edge says to a new connection before it ends it. TimeoutError when it does neither."""
    async with asyncio.timeout(SHED_SECONDS):
        port = int(stack.http_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
            return await reader.read(1)
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()


async def _gets_ready(address: str, seconds: float) -> bool:
    """Whether a new channel of its own connections becomes usable."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        try:
            async with asyncio.timeout(seconds):
                await channel.channel_ready()
        except TimeoutError:
            return False
        return True


async def _cpu_used(pids: list[int]) -> float:
    """In a few seconds from now."""
    before = cpu_seconds(*pids)
    # Time has to pass: how much is used in it is the question.
    await asyncio.sleep(MEASURED_SECONDS)
    return cpu_seconds(*pids) - before
