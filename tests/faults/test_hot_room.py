"""ISOLATE: one room that gets all that it can take, and the others that should not feel it."""

from __future__ import annotations

import asyncio

import pytest

from edge.pacing import BUSY_SECONDS
from tests.support.api import Json
from tests.support.crowd_place import Place, place
from tests.support.matrix import Matrix
from tests.support.stack import Stack

HOT_CLIENTS, WARM_ROOMS = 100, 20
QUIET_RATE = 50.0
USUAL_RATE = 100.0
"""A lively room: two cores serve its members beside everybody else without being full."""
FIRST_RATE, GROWTH, STEP_SECONDS = 25.0, 1.4, 4.0
KEPT_UP = 0.95
"""Of what was offered, acknowledged in the same time."""
SHARE = 0.7
"""Of the most that the room takes: above it the machine is full, and nobody is isolated from that."""
FACTOR = 3.0
"""Times as late beside a busy room as beside nothing, apart from what the edges gather when they are busy.
Beside nothing they do not gather: were it one with the rest, every mend of the quiet path would end this."""
LIKE_SPREAD = 1.5
"""Times as late beside one room as beside the same load spread over many: equal, but for noise."""
WINDOW_SECONDS = 60.0
"""At QUIET_RATE 3,000 answers: the p99 is the thirtieth worst, not the tenth."""


def rooms_of(quiet: int) -> list[range]:
    """The hot room, the warm ones of the same people, then rooms of two."""
    return [
        *[range(HOT_CLIENTS)] * (1 + WARM_ROOMS),
        *(range(one, one + 2) for one in range(HOT_CLIENTS, HOT_CLIENTS + 2 * quiet, 2)),
    ]


HOT, WARM, QUIET = slice(0, 1), slice(1, 1 + WARM_ROOMS), slice(1 + WARM_ROOMS, None)


async def hottest(at: Place) -> float:
    """The first rate that is more than the hot room takes, beside the quiet ones; what it took then."""
    rate = FIRST_RATE
    while True:
        await at.crowd.send("hot", at.rooms[HOT], rate, attempts=1)
        await asyncio.sleep(1.0)
        seen = await at.crowd.figures("hot", STEP_SECONDS)
        await at.crowd.stop("hot")
        done = seen["acks"] / seen["seconds"]
        print(f"\nhot at {rate:.0f}/s: {done:.0f}/s, p99 {seen['ackSeconds'].get('p99', 0):.2f} s", end="")
        if done < KEPT_UP * rate:
            return float(done)
        rate *= GROWTH


async def beside(at: Place, busy: slice, rate: float, seconds: float) -> Json:
    """The figures of the quiet rooms beside these others; at rate 0 beside nothing."""
    await at.crowd.send("quiet", at.rooms[QUIET], QUIET_RATE)
    if rate:
        await at.crowd.send("busy", at.rooms[busy], rate)
    await asyncio.sleep(2.0)
    quiet = await at.crowd.figures("quiet", seconds)
    if rate:
        print(f"\nbusy at {rate:.0f}/s in {len(at.rooms[busy])} rooms: {await at.crowd.stop('busy')}", end="")
    await at.crowd.stop("quiet")
    print(f"\nquiet beside {rate:.0f}/s: {quiet}")
    assert await at.crowd.judge() == []
    assert quiet["givenUp"] == 0
    return quiet


def isolated(quiet: Json, normal: Json, factor: float, gathered: float = 0.0) -> None:
    """No more than so many times as late and so many seconds, from a send to its answer and each receiver."""
    for kind in ("ackSeconds", "deliverySeconds"):
        assert quiet[kind]["p99"] <= factor * normal[kind]["p99"] + gathered, kind


async def test_quiet_rooms_get_everything_beside_a_hot_one(stack: Stack, matrix: Matrix) -> None:
    """What a loaded machine can promise: nothing refused, nothing lost, no room behind."""
    async with place(stack, HOT_CLIENTS + 40, rooms_of(20)) as at:
        await at.crowd.connect(spread=3.0)
        await at.crowd.up(at.crowd.size, 60.0)
        assert (await beside(at, HOT, 40.0, 3.0))["acks"] > 0
        matrix.add("hot room beside 20 quiet ones")


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_five_hundred_quiet_rooms_hardly_feel_a_hot_one(stack: Stack, matrix: Matrix) -> None:
    """Their p99 stays within three times what it is without the hot room, be that lively or (plus the gap of
    a busy link) at all that it takes; nor is one room worse for them than the same load spread over many."""
    async with place(stack, HOT_CLIENTS + 1_000, rooms_of(500)) as at:
        await at.crowd.connect(spread=10.0)
        await at.crowd.up(at.crowd.size, 90.0)
        rate = SHARE * await hottest(at)
        assert await at.crowd.judge() == []
        alone = await beside(at, HOT, 0.0, WINDOW_SECONDS)
        isolated(await beside(at, HOT, USUAL_RATE, WINDOW_SECONDS), alone, FACTOR)
        spread = await beside(at, WARM, rate, WINDOW_SECONDS)
        hot = await beside(at, HOT, rate, WINDOW_SECONDS)
        isolated(hot, spread, LIKE_SPREAD)
        isolated(hot, alone, FACTOR, BUSY_SECONDS)
        matrix.add(f"hot room of {HOT_CLIENTS} at {rate:.0f}/s beside 500 quiet ones")
