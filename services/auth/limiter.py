"""Rate limits (GCRA) that all instances share over Redis, and each keeps alone while Redis is away.

Without Redis a limit is never lifted: every instance goes on counting what it sees itself, so that with n
instances at most n times the rate gets through.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError, WatchError

from chassis import logs
from services.auth.ports import Rate

if TYPE_CHECKING:
    from redis.asyncio import Redis

LOCAL_KEYS = 10_000
"""Keys an instance remembers by itself; the one not used for longest is forgotten first."""
REDIS_PAUSE_SECONDS = 5.0
"""After a failure Redis is left alone this long, so that sign-ins do not wait for it one by one."""
_WATCH_TRIES = 5
_TURNS = 64

log = logs.get("limiter")


def gcra(arrival: float | None, now: float, rate: Rate) -> tuple[float, float]:
    """The generic cell rate algorithm: (next theoretical arrival, seconds to wait).

    `arrival` is what the last call gave; when there is to wait it stays as it is.
    """
    interval = rate.seconds / rate.count
    # No count reaches further ahead: what does was written before the clock was set back.
    arrival = min(max(arrival or now, now), now + rate.seconds)
    wait = arrival - now - (rate.seconds - interval)
    # A rounding error of the clock's float must not refuse the last call of a burst.
    if wait > interval * 1e-6:
        return arrival, wait
    return arrival + interval, 0.0


class LocalLimiter:
    """Limiter in this process's memory, which is bounded."""

    def __init__(self, clock: Callable[[], float] = time.time, keys: int = LOCAL_KEYS) -> None:
        self._clock = clock
        self._keys = keys
        self._arrivals: OrderedDict[str, float] = OrderedDict()

    async def take(self, key: str, rate: Rate) -> float:
        arrival, wait = gcra(self._arrivals.get(key), self._clock(), rate)
        self._arrivals[key] = arrival
        self._arrivals.move_to_end(key)
        while len(self._arrivals) > self._keys:
            self._arrivals.popitem(last=False)
        return wait


class RedisLimiter:
    """Limiter in Redis by WATCH and MULTI: scripts are not allowed there.

    In one process the calls for a key take turns, so that only other instances change it in between.
    """

    def __init__(
        self,
        redis: Redis,
        local: LocalLimiter,
        clock: Callable[[], float] = time.time,
        on_local: Callable[[], None] = lambda: None,
    ) -> None:
        self._redis = redis
        self._on_local = on_local
        self._local = local
        self._clock = clock
        self._away_until = 0.0
        self._turns = [asyncio.Lock() for _ in range(_TURNS)]

    async def take(self, key: str, rate: Rate) -> float:
        # Counted here as well, so that the local count is warm when Redis goes away.
        local_wait = await self._local.take(key, rate)
        name = "polychat:auth:limit:" + hashlib.sha256(key.encode()).hexdigest()
        try:
            async with self._turns[hash(name) % _TURNS]:
                if self._away():
                    self._on_local()
                    return local_wait
                return await self._take(name, rate)
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = self._clock() + REDIS_PAUSE_SECONDS
            log.warning("limits_kept_locally", error=type(error).__name__)
            self._on_local()
            return local_wait

    def problem(self) -> str | None:
        """For readiness: None unless limits were kept locally in the last seconds."""
        return "redis takes no counts; each instance limits what it sees itself" if self._away() else None

    def _away(self) -> bool:
        # A clock that was set back must not make the pause longer.
        return 0 < self._away_until - self._clock() <= REDIS_PAUSE_SECONDS

    async def _take(self, name: str, rate: Rate) -> float:
        for _ in range(_WATCH_TRIES):
            async with self._redis.pipeline(transaction=True) as pipe:
                await pipe.watch(name)
                stored = await pipe.get(name)
                now = self._clock()
                arrival, wait = gcra(float(stored) if stored is not None else None, now, rate)
                if wait > 0:
                    return wait
                pipe.multi()  # type: ignore[no-untyped-call]  # the library's
                pipe.set(name, repr(arrival), px=max(1, math.ceil((arrival - now) * 1000)))
                try:
                    await pipe.execute()
                except WatchError:
                    continue
                return 0.0
        # Others changed it every time: that many at once is what the limit is for.
        return rate.seconds / rate.count
