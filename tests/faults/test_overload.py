"""More than the machine takes: the rest is refused early, nothing sent is lost, and it heals by itself."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.api import Json
from tests.support.crowd import RATE_OF_A_CLIENT
from tests.support.crowd_place import Place, place, tables
from tests.support.matrix import HEAL_SECONDS, Matrix
from tests.support.stack import Stack

CLIENTS, TABLE = 1_500, 4
"""So many that with all their attempts none of them is past what it may send."""
STEP_SECONDS, GROWTH = 6.0, 1.4
FIRST_RATE = 150.0
KEPT_UP = 0.9
"""Of what was offered, acknowledged in the same time: below it the rate is more than the machine takes."""
OVERLOAD_SECONDS = 60.0
EARLY_SECONDS = 2.0
"""A refusal comes before chat would even ask what became of a send."""
NORMAL_FACTOR, NORMAL_SECONDS = 3.0, 0.5
"""Normal again: p99 within this factor of what it was at this rate before, or too short to be noticed."""
USUAL = 0.7
"""Of the most that was kept up with, not of what gets done in a jam: there frames are full, a message costs
half, and 70 % of that fills both cores in peace."""
REFUSALS = {"OVERLOADED", "OUTCOME_UNKNOWN"}


async def capacity(at: Place) -> tuple[float, float]:
    """The highest rate that it keeps up with; what it gets done at the next one, which is too much."""
    rate = FIRST_RATE
    while rate < CLIENTS * RATE_OF_A_CLIENT:
        await at.crowd.send("ramp", at.rooms, rate, attempts=1)
        await asyncio.sleep(1.0)
        seen = await at.crowd.figures("ramp", STEP_SECONDS)
        await at.crowd.stop("ramp")
        done = seen["acks"] / seen["seconds"]
        print(
            f"\nat {rate:.0f}/s: {done:.0f}/s, p99 {seen['ackSeconds'].get('p99', 0):.2f} s {seen['errors']}",
            end="",
        )
        if done < KEPT_UP * rate:
            return rate / GROWTH, float(done)
        rate *= GROWTH
    raise AssertionError("the machine takes more than these clients may send")


async def quiet(at: Place) -> None:
    """Until nothing of the load before is under way."""
    assert await at.crowd.judge() == []


async def steady(at: Place, rate: float, seconds: float) -> Json:
    """The figures of so many seconds at a rate."""
    await at.crowd.send("steady", at.rooms, rate)
    await asyncio.sleep(2.0)
    seen = await at.crowd.figures("steady", seconds)
    await at.crowd.stop("steady")
    return seen


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_after_a_minute_of_120_percent_it_is_as_before(stack: Stack, matrix: Matrix) -> None:
    """No queue, cache or retry keeps the bad state alive once the load is as usual again."""
    async with place(stack, CLIENTS, tables(CLIENTS, TABLE)) as at:
        await at.crowd.connect(spread=10.0)
        await at.crowd.up(CLIENTS, 60.0)
        held, most = await capacity(at)
        usual = USUAL * held
        await quiet(at)
        before = await steady(at, usual, 10.0)
        await at.crowd.send("over", at.rooms, 1.2 * most)
        over = await at.crowd.figures("over", OVERLOAD_SECONDS)
        after = await at.crowd.stop("over")
        ended = time.monotonic()
        await at.crowd.send("steady", at.rooms, usual)
        bound = max(NORMAL_SECONDS, NORMAL_FACTOR * before["ackSeconds"]["p99"])
        normal, last = None, Json()
        while time.monotonic() < ended + HEAL_SECONDS + STEP_SECONDS and normal is None:
            began = time.monotonic()
            last = await at.crowd.figures("steady", 3.0)
            if last["ackSeconds"]["p99"] <= bound and not last["errors"] and last["acks"] >= 2.72 * usual:
                normal = began - ended
        await at.crowd.stop("steady")
        print(f"\ncapacity {most:.0f}/s; usual, {usual:.0f}/s: p99 {before['ackSeconds']['p99']:.3f} s")
        print(f"at 120 %: {over}\nthen: {after}\nas usual, normal after {normal} s: {last}")
        assert set(over["errors"]) | set(after["errors"]) <= REFUSALS
        assert over["refusalSeconds"].get("p99", 0.0) < EARLY_SECONDS
        assert over["acks"] >= 0.5 * most * OVERLOAD_SECONDS, "it did less than half of what it can"
        assert await at.crowd.judge() == []
        assert normal is not None, f"not normal {HEAL_SECONDS} s after: {last}, bound {bound}"
        assert normal <= HEAL_SECONDS
        matrix.add("120 % load for 60 s", seconds=normal)


async def test_a_burst_is_answered_to_the_last_send(stack: Stack, matrix: Matrix) -> None:
    """3,000 sends in one second: each is acknowledged or refused with a reason, and none of them twice."""
    async with place(stack, 100, tables(100, 10)) as at:
        await at.crowd.connect(spread=1.0)
        await at.crowd.up(100, 60.0)
        await at.crowd.send("burst", at.rooms, 3_000.0, attempts=10)
        await asyncio.sleep(1.0)
        began = time.monotonic()
        burst = await at.crowd.stop("burst")
        assert await at.crowd.judge() == []
        assert set(burst["errors"]) <= REFUSALS
        matrix.add("3,000 sends in one second", seconds=time.monotonic() - began)
