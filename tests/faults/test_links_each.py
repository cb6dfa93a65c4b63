"""Each link between processes becomes slow, narrow, silent or is cut, while a swarm sends (ANSWER, HEAL)."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio

from tests.support.eventually import eventually
from tests.support.matrix import Matrix
from tests.support.peer import signed_in
from tests.support.sight import Sight, sight
from tests.support.signs import outage_of_link
from tests.support.swarm import Swarm, running_swarm
from tests.support.toxiproxy import Toxiproxy
from tests.support.toxiproxy_stack import LinkedStack, linked_stack
from tests.support.transports import open_json

CLIENTS, ROOMS = 10, 4
FAULT_SECONDS = 8.0
"""Longer than a send may take (5 s) and than the deadlines of every call in between."""
VANISHING = 8
LET_GO_SECONDS = 45.0
SILENT = re.compile(r'^\w*closes_total\{.*code="4003".*\} (\S+)$', re.MULTILINE)
LATENCY_MILLIS, JITTER_MILLIS = 200, 50
BANDWIDTH_KB = 64

LINKS = (
    "client",
    "to-auth",
    "to-user",
    "to-chat",
    "to-message",
    "consul",
    *("auth-postgres", "auth-redis", "user-postgres"),
    *("chat-postgres", "chat-redis", "chat-kafka"),
    *("message-postgres", "message-redis", "message-kafka"),
)

Fault = Callable[[Toxiproxy, str, Sight], Awaitable[None]]


def _toxic(kind: str, *, silences: bool = False, **attributes: int) -> Fault:
    async def lasts(toxiproxy: Toxiproxy, link: str, seen: Sight) -> None:
        async with toxiproxy.toxic(link, kind, **attributes):
            await seen.lasts(outage_of_link(link) if silences else None, FAULT_SECONDS)

    return lasts


async def _cut(toxiproxy: Toxiproxy, link: str, seen: Sight) -> None:
    async with toxiproxy.cut(link):
        await seen.lasts(outage_of_link(link), FAULT_SECONDS)


async def _resets(toxiproxy: Toxiproxy, link: str, _seen: Sight) -> None:
    """Three times, so that connections that were just made anew are hit too."""
    sockets = 0
    for _ in range(3):
        sockets += await toxiproxy.reset(link)
        await asyncio.sleep(1)
    assert sockets, f"nothing went through {link}"


FAULTS: dict[str, Fault] = {
    "slow": _toxic("latency", latency=LATENCY_MILLIS, jitter=JITTER_MILLIS),
    "narrow": _toxic("bandwidth", rate=BANDWIDTH_KB),
    "half-open": _toxic("timeout", silences=True, timeout=0),
    "cut": _cut,
    "reset": _resets,
}
TELLING = {
    ("message-postgres", "half-open"),
    ("message-kafka", "half-open"),
    ("chat-kafka", "reset"),
    ("to-chat", "half-open"),
}
"""What the short run has time for."""


def _cases() -> Iterator[object]:
    for link, fault in itertools.product(LINKS, FAULTS):
        marks = () if (link, fault) in TELLING else (pytest.mark.long,)
        yield pytest.param(link, fault, marks=marks, id=f"{link}-{fault}")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkedStack]:
    """Every link of it leads through toxiproxy."""
    with linked_stack(tmp_path_factory.mktemp("links")) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def swarm(stack: LinkedStack) -> AsyncIterator[Swarm]:
    """Is sending."""
    async with running_swarm(stack, clients=CLIENTS, rooms=ROOMS, calls=True) as running:
        running.start_sending()
        yield running


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("link", "fault"), list(_cases()))
async def test_a_bad_link_loses_nothing_and_heals(
    stack: LinkedStack, swarm: Swarm, matrix: Matrix, link: str, fault: str
) -> None:
    """Every send is answered or its connection closed in time, and all is normal again soon after.

    Of a link on which nothing comes through any more, its near end says so.
    """
    async with matrix.fault(f"{link} {fault}", swarm), sight(stack) as seen:
        await FAULTS[fault](stack.toxiproxy, link, seen)


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_clients_that_vanish_are_let_go(stack: LinkedStack, swarm: Swarm, matrix: Matrix) -> None:
    """No end of the connection, no answer to a ping: closed with 4003, and everyone else goes on."""
    user = await swarm.api.register("vanishing")
    url = f"ws://127.0.0.1:{stack.ports['vanishing']}/ws"
    before = await _closed_as_silent(stack)
    async with AsyncExitStack() as connected, matrix.fault("clients vanish", swarm):
        for _ in range(VANISHING):
            await connected.enter_async_context(signed_in(await open_json(url), user.access_token))

        async def all_let_go() -> bool:
            return await _closed_as_silent(stack) == before + VANISHING

        began = time.monotonic()
        async with stack.toxiproxy.toxic("vanishing", "timeout", timeout=0):
            await eventually(all_let_go, seconds=LET_GO_SECONDS, what="the end of silent connections")
            await swarm.everyone_sent(began, LET_GO_SECONDS)


@pytest.mark.timeout(300)
async def test_after_all_bad_links_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """One log, and everyone saw it."""
    await matrix.judge(swarm)


async def _closed_as_silent(stack: LinkedStack) -> int:
    """How many connections the edges have closed because nothing was heard of them."""
    total = 0
    async with httpx.AsyncClient(trust_env=False) as http:
        for name, port in stack.state()["urls"]["metricsPorts"].items():
            if name.startswith("edge-"):
                text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
                total += sum(int(float(count)) for count in SILENT.findall(text))
    return total
