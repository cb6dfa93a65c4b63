"""What auth does in Redis, on the real one: limits that instances share, and hints that chat hears."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator

import pytest
from polychat.internal.log.v1.record_pb2 import SessionHint
from prometheus_client import CollectorRegistry, Counter
from redis.asyncio import Redis

from chassis.redis import SESSIONS, Publisher, Subscriber, open_redis
from services.auth.hints import RedisSessionHints
from services.auth.limiter import LocalLimiter, RedisLimiter
from services.auth.ports import Rate

FIVE_AN_HOUR = Rate(5, 3600.0)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url)
    yield client
    await client.aclose()


def instance(redis: Redis) -> RedisLimiter:
    """One of several instances: it has its own memory."""
    return RedisLimiter(redis, LocalLimiter())


async def test_instances_share_a_limit(redis: Redis) -> None:
    """What one let through the other counts."""
    key = secrets.token_hex()
    first, second = instance(redis), instance(redis)
    assert [await first.take(key, FIVE_AN_HOUR) for _ in range(3)] == [0.0] * 3
    assert [await second.take(key, FIVE_AN_HOUR) for _ in range(2)] == [0.0] * 2
    assert await second.take(key, FIVE_AN_HOUR) == pytest.approx(720, abs=10)
    assert await first.take(key, FIVE_AN_HOUR) > 0


async def test_many_at_once_get_no_more_than_the_limit(redis: Redis) -> None:
    """Tries of several instances at the same moment never pass together beyond the burst."""
    key = secrets.token_hex()
    limiters = [instance(redis) for _ in range(4)]
    waits = await asyncio.gather(*(limiters[n % 4].take(key, FIVE_AN_HOUR) for n in range(40)))
    assert 1 <= sum(wait == 0 for wait in waits) <= 5


async def test_many_at_once_get_all_of_the_limit(redis: Redis) -> None:
    """Tries at the same moment do not refuse each other: a limit for all sign-ins has one key."""
    limiter, key = instance(redis), secrets.token_hex()
    waits = await asyncio.gather(*(limiter.take(key, Rate(50, 3600.0)) for _ in range(60)))
    assert sum(wait == 0 for wait in waits) == 50


async def test_a_limit_leaves_nothing_behind(redis: Redis) -> None:
    """A key lives as long as it says something, and does not hold the name that was tried."""
    name = secrets.token_hex()
    await instance(redis).take(name, Rate(5, 60.0))
    assert not await redis.keys(f"*{name}*")
    key = "polychat:auth:limit:" + hashlib.sha256(name.encode()).hexdigest()
    assert 0 < await redis.pttl(key) <= 12_000


async def test_an_ended_session_is_heard(redis_url: str) -> None:
    """The hint arrives on the channel that chat listens to."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    ready = asyncio.Event()
    subscriber = Subscriber(redis_url, lambda _channel, payload: heard.put_nowait(payload), ready.set)
    subscriber.subscribe([SESSIONS])
    task = asyncio.create_task(subscriber.run())
    await asyncio.wait_for(ready.wait(), 5)
    publisher = Publisher(redis_url)
    lost = Counter("lost", "test", registry=CollectorRegistry())
    number = secrets.randbits(60)
    await RedisSessionHints(publisher, lost).ended([number])
    async with asyncio.timeout(5):
        while number not in SessionHint.FromString(await heard.get()).revoked_session_ids:
            pass
    task.cancel()
    await publisher.close()


async def test_a_lost_hint_is_counted_and_quick() -> None:
    """Without Redis a sign-out goes on within a second; only the counter tells."""
    publisher = Publisher("redis://127.0.0.1:1/0")
    lost = Counter("lost", "test", registry=CollectorRegistry())
    started = time.monotonic()
    await RedisSessionHints(publisher, lost).ended([1])
    assert time.monotonic() - started < 1.0
    (sample,) = [s for metric in lost.collect() for s in metric.samples if s.name == "lost_total"]
    assert sample.value == 1
    await publisher.close()
