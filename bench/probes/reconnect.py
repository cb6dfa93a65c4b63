"""Everybody is cut off, misses messages, and comes back at once with cursors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from bench.results import Once, Repeat
from bench.world import World
from tests.support.crowd_place import Place, place
from tests.support.crowd_watch import total
from tests.support.eventually import eventually

FULL = 2_000
TOGETHER = 10
"""Of a room; one more stays connected there and goes on talking."""
MISSED_RATE, MISSED_SECONDS = 100.0, 6.0
PER_SECOND = 100
WAIT_SECONDS = 120.0
STATISTICS_SECONDS = 2.0
"""PostgreSQL's backends report what they did with a delay of a second."""
CALLS = "polychat_message_grpc_handled_total"


@dataclass(frozen=True)
class _Work:
    """What the database and message had been asked at a moment."""

    calls: float
    transactions: int
    cpu: dict[str, float]


@asynccontextmanager
async def open_reconnect(world: World) -> AsyncIterator[Once]:
    """Rooms of eleven: ten come back, one is there all the time."""
    rooms = world.options.scaled(FULL, 20) // TOGETHER
    gone = rooms * TOGETHER
    groups = [[n, *range(rooms + n * TOGETHER, rooms + (n + 1) * TOGETHER)] for n in range(rooms)]
    async with place(world.stack, gone + rooms, groups) as at:
        await at.crowd.connect(spread=at.crowd.size / PER_SECOND)
        await at.crowd.up(at.crowd.size, WAIT_SECONDS)
        yield lambda: _once(world, at, rooms, gone)


async def _once(world: World, at: Place, stay: int, gone: int) -> Repeat:
    crowd = at.crowd
    await crowd.cut(stay, gone)
    await eventually(lambda: _connected(world, stay), seconds=30.0, what="the end of the connections")
    await crowd.send("missed", at.rooms, MISSED_RATE)
    await asyncio.sleep(MISSED_SECONDS)
    sent = await crowd.stop("missed")
    await asyncio.sleep(STATISTICS_SECONDS)
    before = await _work(world)
    await crowd.connect(stay, gone, spread=0.0, jitter=True)
    state = await crowd.up(crowd.size, WAIT_SECONDS)
    used = world.cpu()
    await asyncio.sleep(STATISTICS_SECONDS)
    after = await _work(world)
    parts = {part: (spent - before.cpu.get(part, 0.0)) * 1e3 / gone for part, spent in used.items()}
    figures = {
        "caughtUpSeconds": state["backSeconds"]["max"],
        "caughtUpP50Seconds": state["backSeconds"]["p50"],
        "clients": float(gone),
        "readsPerClient": (after.calls - before.calls) / gone,
        "transactionsPerClient": (after.transactions - before.transactions) / gone,
        "refusals": float(sum(state["refused"].values())),
        "millisPerClient": sum(parts.values()),
    }
    raw = {"crowd": state, "missed": sent}
    return Repeat(figures, parts, "millisPerClient", await crowd.judge(), raw)


async def _connected(world: World, count: int) -> bool:
    return await total(world.stack, "chat", "polychat_chat_hub_connections") == count


async def _work(world: World) -> _Work:
    calls = await total(world.stack, "message", CALLS)
    postgres = await asyncpg.connect(world.stack.postgres_dsn, ssl=False)
    try:
        commits = await postgres.fetchval("SELECT sum(xact_commit)::bigint FROM pg_stat_database")
    finally:
        await postgres.close()
    return _Work(calls, int(commits), world.cpu())
