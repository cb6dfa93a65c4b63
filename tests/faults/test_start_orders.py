"""The services may be started in any order, and while what they stand on is still away (I8)."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Sequence

import pytest

from scripts.stack.layout import SERVICES
from tests.support.api import Api
from tests.support.eventually import eventually
from tests.support.matrix import HEAL_SECONDS, Matrix
from tests.support.outages import frozen
from tests.support.processes import EDGE, READY_SECONDS, LooseStack, loose_stack
from tests.support.stack import Stack

ORDERS = [("auth", "user", "chat", "message"), ("message", "chat", "user", "auth")]
"""What each needs is there before it, and the other way round."""
OTHERS = [order for order in itertools.permutations(SERVICES) if order not in ORDERS]
NEEDED_BY = {
    "postgres": SERVICES,
    "consul": SERVICES,
    "redis": ("auth", "chat", "message"),
    "kafka": ("chat", "message"),
}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def loose() -> Iterator[LooseStack]:
    """Parts that run."""
    with loose_stack() as stack:
        yield stack


async def _come_up(loose: LooseStack, since: float) -> float:
    """Waits until all are ready and somebody can talk; gives how long that took (seconds)."""
    for name in (*SERVICES, EDGE):
        await loose.serves(name, max(0.1, since + READY_SECONDS - time.monotonic()))
    taken = time.monotonic() - since
    api = Api(loose.http_url)
    anna = await api.register("anna")
    room = await api.create_room(anna)
    assert int((await api.send(anna, room, "here we are"))["sequence"]) == 2
    await api.close()
    return taken


async def _in_order(loose: LooseStack, matrix: Matrix, order: Sequence[str]) -> None:
    """The next one begins when the one before lives, ready or not."""
    try:
        for name in order:
            loose.start(name)
            await loose.lives(name)
        seconds = await _come_up(loose, time.monotonic())
    finally:
        loose.stop()
    matrix.add("started in an order of their own", seconds=seconds)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_each_order_ends_ready(loose: LooseStack, matrix: Matrix, order: Sequence[str]) -> None:
    """No one waits for another at its start in a circle."""
    edge_first = order[0] == "message"
    await _in_order(loose, matrix, (EDGE, *order) if edge_first else (*order, EDGE))


async def test_started_at_once_they_end_ready(loose: LooseStack, matrix: Matrix) -> None:
    """As after a power cut."""
    try:
        for name in (EDGE, *SERVICES):
            loose.start(name)
        # Five processes that load at once on two cores: the time counts from when the last one lives.
        for name in (EDGE, *SERVICES):
            await loose.lives(name)
        seconds = await _come_up(loose, time.monotonic())
    finally:
        loose.stop()
    matrix.add("started all at once", seconds=seconds)


@pytest.mark.long
@pytest.mark.parametrize("order", OTHERS, ids="-".join)
async def test_every_other_order_ends_ready(loose: LooseStack, matrix: Matrix, order: Sequence[str]) -> None:
    """The edge comes anywhere among them."""
    place = random.Random(str(order)).randrange(5)
    await _in_order(loose, matrix, (*order[:place], EDGE, *order[place:]))


@pytest.mark.long
@pytest.mark.parametrize("part", sorted(NEEDED_BY))
async def test_what_starts_before_a_part_comes_up_with_it(
    own_stack: Stack, matrix: Matrix, part: str
) -> None:
    """Who needs it is started again and again, or waits; 30 s after the part answers all are ready."""
    names = NEEDED_BY[part]
    pids = {name: own_stack.pid(name) for name in names}
    restarts = _restarts(own_stack, names)
    with frozen(own_stack, part):
        for name in names:
            own_stack.kill(name)

        async def all_again() -> bool:
            now = _restarts(own_stack, names)
            return all(now[name] > restarts[name] for name in names)

        await eventually(all_again, what=f"a start of all who need {part}")
    thawed = time.monotonic()
    for name in names:
        await own_stack.back(name, pids[name])
    await own_stack.ready(max(0.1, thawed + HEAL_SECONDS - time.monotonic()))
    matrix.add(f"services started before {part}", seconds=time.monotonic() - thawed)


def _restarts(stack: Stack, names: Sequence[str]) -> dict[str, int]:
    return {name: int(stack.part(name)["restarts"]) for name in names}
