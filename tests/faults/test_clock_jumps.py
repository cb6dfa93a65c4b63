"""A clock that is an hour off, of one process at a time, while a swarm sends (I1 to I5, REVOKE)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise

import psycopg
import pytest
import pytest_asyncio

from scripts.stack.layout import SERVICES
from tests.support.api import Json
from tests.support.faked_time import FakedTime, built_library
from tests.support.matrix import Matrix
from tests.support.peer import Peer, Refused
from tests.support.processes import EDGE, LooseStack, loose_stack
from tests.support.swarm import Swarm, running_swarm
from tests.support.transports import open_json

HOUR = 3600
OFF_SECONDS = 35.0
"""Longer than a heartbeat, and than the time in which an edge asks for the sessions that it holds."""
SEND_SECONDS = 5.0
PROCESSES = ("auth", "chat", "message", EDGE)
CLIENTS, ROOMS = 10, 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="module")
async def world() -> AsyncIterator[tuple[LooseStack, Mapping[str, FakedTime]]]:
    """Everything runs, each process by a clock of its own."""
    library = built_library()
    if library is None:
        pytest.skip("needs libfaketime, of which there is no wheel for this machine")
    with loose_stack() as stack:
        clocks = {name: FakedTime(library, stack.data / "run" / f"{name}.time") for name in (*SERVICES, EDGE)}
        for name, clock in clocks.items():
            stack.start(name, clock.environment)
        for name in clocks:
            await stack.lives(name)
        for name in clocks:
            await stack.serves(name)
        yield stack, clocks


@pytest_asyncio.fixture(scope="module")
async def swarm(world: tuple[LooseStack, Mapping[str, FakedTime]]) -> AsyncIterator[Swarm]:
    """Is sending."""
    async with running_swarm(world[0], clients=CLIENTS, rooms=ROOMS) as running:
        running.start_sending()
        yield running


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "backward"])
@pytest.mark.parametrize("process", PROCESSES)
async def test_a_jump_of_the_clock_harms_nobody(
    world: tuple[LooseStack, Mapping[str, FakedTime]], swarm: Swarm, matrix: Matrix, process: str, hours: int
) -> None:
    """Nobody is closed for it, but whose token is over where the clock went forward: that is refused."""
    stack, clocks = world
    before = [client.connections for client in swarm.clients]
    async with matrix.fault(f"clock {hours:+d} h under {process}", swarm):
        clocks[process].jump(hours * HOUR)
        try:
            if (process, hours) in ((EDGE, 1), ("chat", 1)):
                assert await _refused(stack, swarm) == "TOKEN_EXPIRED"
            else:
                jumped = time.monotonic()
                while time.monotonic() < jumped + OFF_SECONDS:
                    await swarm.everyone_sent(time.monotonic(), SEND_SECONDS)
                assert [client.connections for client in swarm.clients] == before
        finally:
            clocks[process].jump(0)


async def _refused(stack: LooseStack, swarm: Swarm) -> str:
    """Why a token is refused that is good by the right time."""
    peer = Peer(await open_json(stack.ws_url))
    try:
        with pytest.raises(Refused) as refused:
            await peer.hello(swarm.witness.access_token)
    finally:
        await peer.end()
    return refused.value.reason


async def test_after_all_jumps_nothing_is_lost_and_time_never_fell(
    world: tuple[LooseStack, Mapping[str, FakedTime]], swarm: Swarm, matrix: Matrix
) -> None:
    """No id was given twice, by whatever clock; in each room times rise with the sequence."""
    await matrix.judge(swarm)
    with psycopg.connect(world[0].postgres_dsn) as connection:
        found = connection.execute(
            "SELECT count(*), count(DISTINCT message_id) FROM message.message"
        ).fetchone()
    assert found is not None
    assert found[0] == found[1] > 0
    for room in swarm.rooms:
        times = [_create_time(event) for event in await swarm.api.log(swarm.witness, room)]
        assert all(earlier <= later for earlier, later in pairwise(times))


def _create_time(event: Json) -> str:
    """As RFC 3339 in UTC with as many digits everywhere, so that the text sorts."""
    seconds, _, fraction = str(event["createTime"]).removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:0<9}"
