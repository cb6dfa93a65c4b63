"""What may befall Consul while a swarm sends: it brings news of the others, and nothing waits for it (I8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.support.consul_kv import live_setting
from tests.support.emptied import killed_and_emptied
from tests.support.eventually import eventually
from tests.support.history import Kind
from tests.support.matrix import Matrix
from tests.support.outages import down, frozen
from tests.support.sight import sight
from tests.support.signs import OUTAGE
from tests.support.stack import Stack
from tests.support.swarm import Swarm

SERVICES = ("auth", "user", "chat", "message", "edge")
FROZEN_SECONDS = 15.0
AWAY_SECONDS = 180.0
NORMAL_SECONDS = 30.0
"""Within which the fault of the test before is over."""
REGISTERED_SECONDS = 10.0
"""After Consul answers again, empty: within this time everybody is entered again."""
SEND_SECONDS = 5.0
FLAPS = 10

pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture
async def consul(own_stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The agent to break."""
    async with httpx.AsyncClient(base_url=f"http://{own_stack.consul_addr}/v1", trust_env=False) as client:
        yield client


async def _entered(consul: httpx.AsyncClient) -> dict[str, set[str]]:
    """The names of all instances that pass their checks, by service."""
    found = {}
    for service in SERVICES:
        answer = (await consul.get(f"/health/service/{service}", params={"passing": "1"})).raise_for_status()
        found[service] = {item["Service"]["ID"] for item in answer.json()}
    return found


def _unsettled(swarm: Swarm, since: float) -> int:
    """Sends whose answer was no `sent` at first."""
    count = swarm.journal.count(since, time.monotonic())
    return count[Kind.UNKNOWN] + count[Kind.FAIL]


async def test_a_frozen_consul_is_seen_and_a_service_restarts_without_it(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """Who is called is known; message, which leases nothing, comes back and numbers on before Consul does."""
    async with matrix.fault(f"consul frozen {FROZEN_SECONDS:.0f} s", swarm), sight(own_stack) as seen:
        with frozen(own_stack, "consul"):
            began = time.monotonic()
            await seen.everything(metric="consul_reachable", log="consul_away", trouble="/consul")
            assert _unsettled(swarm, began) == 0
            pid = own_stack.pid("message")
            own_stack.kill("message")
            await own_stack.back("message", pid)
            await swarm.everyone_sent(time.monotonic(), 2 * SEND_SECONDS)
            # The rest of the time it lasts; nothing is waited for.
            await asyncio.sleep(max(0.0, began + FROZEN_SECONDS - time.monotonic()))


async def test_a_consul_that_comes_back_empty_has_everybody_again(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, consul: httpx.AsyncClient
) -> None:
    """Its data is gone, its indexes start anew: all are entered in 10 s, and what is written is followed."""

    async def everybody() -> dict[str, set[str]] | None:
        entered = await _entered(consul)
        return entered if all(entered.values()) else None

    before = await eventually(everybody, seconds=NORMAL_SECONDS, what="everybody after the test before")
    async with matrix.fault("consul killed, back empty", swarm):
        began = time.monotonic()
        await own_stack.back("consul", killed_and_emptied(own_stack, "consul"))

        async def all_entered() -> bool:
            return await _entered(consul) == before

        await eventually(all_entered, seconds=REGISTERED_SECONDS, what="everybody's new entry")
        assert _unsettled(swarm, began) == 0
        async with sight(own_stack) as seen, live_setting(own_stack, "chat", "send_rate", "junk"):
            await seen.everything(metric="chat_settings_rejected", log="setting_rejected", trouble=None)


async def test_a_bad_setting_changes_nothing_and_is_seen(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """The old value is kept: the one that was written before, not the default."""
    async with (
        matrix.fault("consul: bad values in KV", swarm),
        live_setting(own_stack, "chat", "send_burst", "77"),
        sight(own_stack) as seen,
        live_setting(own_stack, "chat", "send_burst", "\x00many"),
        live_setting(own_stack, "edge", "log_level", "loud"),
    ):
        await seen.everything(metric='chat_settings_rejected.*"send_burst"', log='"kept": "77"', trouble=None)
        await seen.everything(metric="edge_settings_rejected", log="setting_rejected", trouble=None)


async def test_when_all_instances_are_critical_the_last_good_ones_serve(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, consul: httpx.AsyncClient
) -> None:
    """Every check fails at once, as after a restart of the agent: nobody loses anybody, and it is seen."""
    names = [name for found in (await _entered(consul)).values() for name in found]

    async def maintenance(enable: str) -> None:
        for name in names:
            path = f"/agent/service/maintenance/{name}"
            (await consul.put(path, params={"enable": enable})).raise_for_status()

    async with matrix.fault("consul: all instances critical", swarm), sight(own_stack) as seen:
        began = time.monotonic()
        await maintenance("true")
        try:
            await seen.everything(
                metric="problem.*_checks", log="instances_critical", trouble="_checks: no in"
            )
            await swarm.everyone_sent(time.monotonic(), SEND_SECONDS)
            assert _unsettled(swarm, began) == 0
        finally:
            await maintenance("false")


@pytest.mark.long
async def test_a_flapping_consul_rebuilds_nothing(own_stack: Stack, swarm: Swarm, matrix: Matrix) -> None:
    """Killed ten times, soon after each return: no send that fails, and no channel made anew."""
    logs = [own_stack.data / "logs" / f"{name}.log" for name in own_stack.state()["urls"]["metricsPorts"]]
    async with matrix.fault(f"consul flaps {FLAPS} times", swarm):
        began, sizes = time.monotonic(), [log.stat().st_size for log in logs]
        for _ in range(FLAPS):
            pid = own_stack.pid("consul")
            own_stack.kill("consul")
            await own_stack.back("consul", pid)
        assert _unsettled(swarm, began) == 0
    written = [log.read_text()[size:] for log, size in zip(logs, sizes, strict=True)]
    assert [text.count('"instances_changed"') for text in written] == [0] * len(logs)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["frozen", "down"])
async def test_a_consul_away_for_minutes_costs_no_send(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, how: str
) -> None:
    """Longer than it keeps an entry whose check fails, and than any session lives."""
    async with matrix.fault(f"consul {how} {AWAY_SECONDS:.0f} s", swarm), sight(own_stack) as seen:
        began = time.monotonic()
        if how == "frozen":
            with frozen(own_stack, "consul"):
                await seen.lasts(OUTAGE["consul"], AWAY_SECONDS)
        else:
            async with down(own_stack, "consul"):
                await seen.lasts(OUTAGE["consul"], AWAY_SECONDS)
        assert _unsettled(swarm, began) == 0


async def test_after_all_that_befell_consul_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """As after the kills."""
    await matrix.judge(swarm)
