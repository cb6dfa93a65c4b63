"""One direction of a link falls silent in the kernel, while a swarm sends (ANSWER, HEAL)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
import pytest_asyncio

from scripts.stack.consul_binary import consul_binary
from scripts.stack.kafka_jars import kafka_jars
from scripts.stack.web_page import WebPage
from tests.support.history import Kind
from tests.support.matrix import Matrix
from tests.support.netns import Unsupported, one_way_silence, own_network
from tests.support.sight import sight
from tests.support.signs import OUTAGE
from tests.support.stack import ATTACH, Stack, running_stack
from tests.support.swarm import Swarm, running_swarm

CLIENTS, ROOMS = 10, 4
SILENT_SECONDS = 12.0
"""Longer than every TCP_USER_TIMEOUT and keepalive, and than a send may take."""
SETTLED_SECONDS = 3.0
"""After this nothing is answered any more that was on its way when the silence began."""
ON_THE_WAY = {"postgres", "kafka"}
"""Of every message, from the send to `sent`."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """In a network of its own, and we with it: nothing can be fetched in there, so it is before."""
    asyncio.run(_fetch())
    try:
        with own_network(), pytest.MonkeyPatch.context() as environment:
            environment.delenv(ATTACH, raising=False)
            with running_stack() as running:
                yield running
    except Unsupported as error:
        pytest.skip(f"needs {error}")


@pytest_asyncio.fixture(scope="module")
async def swarm(stack: Stack) -> AsyncIterator[Swarm]:
    """Is sending."""
    async with running_swarm(stack, clients=CLIENTS, rooms=ROOMS, calls=True) as running:
        running.start_sending()
        yield running


@pytest.mark.parametrize("direction", ["to", "from"])
@pytest.mark.parametrize("part", ["postgres", "redis", "kafka", "consul", "auth", "chat", "message"])
async def test_a_one_way_silence_loses_nothing_and_heals(
    stack: Stack, swarm: Swarm, matrix: Matrix, part: str, direction: Literal["to", "from"]
) -> None:
    """Sockets stay established on both sides; who waits for what never comes gives up in time."""
    async with matrix.fault(f"silence {direction} {part}", swarm), sight(stack) as seen:
        with one_way_silence(direction, int(stack.part(part)["port"])):
            began = time.monotonic()
            await seen.lasts(OUTAGE[part], SILENT_SECONDS)
            answered = swarm.journal.count(began + SETTLED_SECONDS, time.monotonic())[Kind.OK]
    if part in ON_THE_WAY:
        assert answered == 0, "it was not silent at all"


@pytest.mark.timeout(300)
async def test_after_all_silences_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """One log, and everyone saw it."""
    await matrix.judge(swarm)


async def _fetch() -> None:
    await asyncio.gather(kafka_jars(), consul_binary(), WebPage().build())
