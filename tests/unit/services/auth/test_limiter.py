"""Rate limits: bursts, waits, bounded memory, and what holds while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisAway

from services.auth.limiter import REDIS_PAUSE_SECONDS, LocalLimiter, RedisLimiter, gcra
from services.auth.ports import Rate

FIVE_A_MINUTE = Rate(5, 60.0)


class Seconds:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_burst_and_then_the_pace() -> None:
    """All five at once, then one every twelve seconds."""
    clock = Seconds()
    limiter = LocalLimiter(clock)
    assert [await limiter.take("a", FIVE_A_MINUTE) for _ in range(5)] == [0.0] * 5
    assert await limiter.take("a", FIVE_A_MINUTE) == pytest.approx(12.0)
    clock.now += 12
    assert await limiter.take("a", FIVE_A_MINUTE) == 0.0
    assert await limiter.take("a", FIVE_A_MINUTE) > 0


async def test_a_clock_that_was_set_back_keeps_nobody_out() -> None:
    """What was counted an hour ahead is a full burst: the next call waits one interval at the most."""
    clock = Seconds()
    limiter = LocalLimiter(clock)
    clock.now += 3600
    await limiter.take("a", FIVE_A_MINUTE)
    clock.now -= 3600
    assert await limiter.take("a", FIVE_A_MINUTE) <= 12.0
    clock.now += 12
    assert await limiter.take("a", FIVE_A_MINUTE) == 0.0


async def test_keys_are_counted_apart() -> None:
    """One key's limit is not another's."""
    limiter = LocalLimiter(Seconds())
    for _ in range(6):
        await limiter.take("a", FIVE_A_MINUTE)
    assert await limiter.take("b", FIVE_A_MINUTE) == 0.0


async def test_memory_is_bounded() -> None:
    """However many keys come, only so many are remembered: those used last."""
    limiter = LocalLimiter(Seconds(), keys=100)
    for number in range(1000):
        await limiter.take(str(number), FIVE_A_MINUTE)
    assert len(limiter._arrivals) == 100
    assert "999" in limiter._arrivals


@given(
    steps=st.lists(st.floats(0, 100), max_size=60),
    count=st.integers(1, 20),
    seconds=st.floats(1, 3600),
)
def test_never_more_than_the_rate(steps: list[float], count: int, seconds: float) -> None:
    """In any window of the period at most twice the count gets through: a burst and the pace."""
    rate, now, arrival = Rate(count, seconds), 1000.0, None
    taken: list[float] = []
    for step in steps:
        now += step
        arrival, wait = gcra(arrival, now, rate)
        if wait == 0:
            taken.append(now)
    for start in taken:
        assert sum(start <= at < start + seconds for at in taken) <= 2 * count


class DeadRedis:
    """A Redis that does not answer; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def pipeline(self, *, transaction: bool) -> Any:
        self.asked += 1
        raise RedisAway("no answer")


async def test_without_redis_the_instance_limits_alone() -> None:
    """The limit is never lifted, and Redis is asked again only after a pause."""
    clock, redis = Seconds(), DeadRedis()
    limiter = RedisLimiter(redis, LocalLimiter(clock), clock)  # type: ignore[arg-type]
    waits = [await limiter.take("a", FIVE_A_MINUTE) for _ in range(7)]
    assert waits[:5] == [0.0] * 5
    assert min(waits[5:]) > 0
    assert redis.asked == 1
    clock.now += REDIS_PAUSE_SECONDS
    await limiter.take("a", FIVE_A_MINUTE)
    assert redis.asked == 2


class SlowlyDeadRedis(DeadRedis):
    """A Redis whose failure takes a moment."""

    @asynccontextmanager
    async def pipeline(self, *, transaction: bool) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        yield super().pipeline(transaction=transaction)


async def test_those_who_take_turns_share_one_failure() -> None:
    """Not a timeout each, one after the other: a limit for all sign-ins would hold them up for minutes."""
    clock, redis = Seconds(), SlowlyDeadRedis()
    limiter = RedisLimiter(redis, LocalLimiter(clock), clock)  # type: ignore[arg-type]
    waits = await asyncio.gather(*(limiter.take("a", FIVE_A_MINUTE) for _ in range(20)))
    assert sum(wait == 0 for wait in waits) == 5
    assert redis.asked == 1
