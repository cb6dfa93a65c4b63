"""ISOLATE: one room that gets all that it can take, and the others that should not feel it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.api import Json
from tests.support.crowd_place import Place, place
from tests.support.matrix import Matrix
from tests.support.stack import Stack

HOT_CLIENTS = 100
QUIET_RATE = 50.0
FIRST_RATE, GROWTH, STEP_SECONDS = 25.0, 1.4, 4.0
KEPT_UP = 0.95
"""Of what was offered, acknowledged in the same time."""
SHARE = 0.7
"""Of the most that the room takes: above it the machine is full, and nobody is isolated from that."""
FACTOR = 3.0
WINDOW_SECONDS = 20.0


def rooms_of(quiet: int) -> list[range]:
    """The hot room, then rooms of two."""
    return [
        range(HOT_CLIENTS),
        *(range(one, one + 2) for one in range(HOT_CLIENTS, HOT_CLIENTS + 2 * quiet, 2)),
    ]


async def hottest(at: Place) -> float:
    """The first rate that is more than the hot room takes, beside the quiet ones; what it took then."""
    rate = FIRST_RATE
    while True:
        await at.crowd.send("hot", at.rooms[:1], rate, attempts=1)
        await asyncio.sleep(1.0)
        seen = await at.crowd.figures("hot", STEP_SECONDS)
        await at.crowd.stop("hot")
        done = seen["acks"] / seen["seconds"]
        print(f"\nhot at {rate:.0f}/s: {done:.0f}/s, p99 {seen['ackSeconds'].get('p99', 0):.2f} s", end="")
        if done < KEPT_UP * rate:
            return float(done)
        rate *= GROWTH


async def beside(at: Place, rate: float, seconds: float) -> tuple[Json, Json]:
    """The figures of the quiet rooms without the hot one, and then beside it."""
    await at.crowd.send("quiet", at.rooms[1:], QUIET_RATE)
    await asyncio.sleep(2.0)
    alone = await at.crowd.figures("quiet", seconds)
    await at.crowd.send("hot", at.rooms[:1], rate)
    await asyncio.sleep(2.0)
    together = await at.crowd.figures("quiet", seconds)
    hot = await at.crowd.stop("hot")
    await at.crowd.stop("quiet")
    print(f"\nalone {alone}\nbeside {together}\nhot {hot}")
    return alone, together


async def test_quiet_rooms_get_everything_beside_a_hot_one(stack: Stack, matrix: Matrix) -> None:
    """What a loaded machine can promise: nothing refused, nothing lost, no room behind."""
    async with place(stack, HOT_CLIENTS + 40, rooms_of(20)) as at:
        await at.crowd.connect(spread=3.0)
        await at.crowd.up(at.crowd.size, 60.0)
        _, together = await beside(at, 40.0, 3.0)
        assert together["acks"] > 0
        assert together["givenUp"] == 0
        assert await at.crowd.judge() == []
        matrix.add("hot room beside 20 quiet ones")


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_five_hundred_quiet_rooms_hardly_feel_a_hot_one(stack: Stack, matrix: Matrix) -> None:
    """Their p99, from a send to every receiver, stays within three times what it is without the hot room."""
    async with place(stack, HOT_CLIENTS + 1_000, rooms_of(500)) as at:
        await at.crowd.connect(spread=10.0)
        await at.crowd.up(at.crowd.size, 90.0)
        rate = SHARE * await hottest(at)
        assert await at.crowd.judge() == []
        alone, together = await beside(at, rate, WINDOW_SECONDS)
        assert await at.crowd.judge() == []
        for kind in ("ackSeconds", "deliverySeconds"):
            assert together[kind]["p99"] <= FACTOR * alone[kind]["p99"], (kind, rate)
        assert together["givenUp"] == 0
        matrix.add(f"hot room of {HOT_CLIENTS} at {rate:.0f}/s beside 500 quiet ones")
