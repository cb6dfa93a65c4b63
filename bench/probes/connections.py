"""What an idle connection costs in memory: an edge just started, and the same with everybody connected."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.results import Once, Repeat
from bench.world import World
from tests.support.crowd_place import Place, place, tables
from tests.support.crowd_watch import processes, resident

FULL = 10_000
ROOM = 50
"""Members of a room; everybody is in one."""
PER_SECOND = 250
"""How fast they come: a storm is another measurement."""
WAIT_SECONDS = 120.0
SETTLE_SECONDS = 3.0


@asynccontextmanager
async def open_connections(world: World) -> AsyncIterator[Once]:
    """The people stay the same; every repeat has a fresh edge."""
    count = world.options.scaled(FULL, 50)
    async with place(world.stack, count, tables(count, ROOM)) as at:
        yield lambda: _once(world, at)


async def _once(world: World, at: Place) -> Repeat:
    stack, crowd = world.stack, at.crowd
    edges = [part for part in processes(stack) if part.startswith("edge")]
    for edge in edges:
        pid = stack.pid(edge)
        stack.kill(edge, signal.SIGTERM)
        await stack.back(edge, pid)
    await asyncio.sleep(SETTLE_SECONDS)
    before = sum(resident(stack, edge) for edge in edges)
    await crowd.connect(spread=crowd.size / PER_SECOND)
    await crowd.up(crowd.size, WAIT_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)
    after = sum(resident(stack, edge) for edge in edges)
    state = await crowd.state()
    await crowd.cut()
    figures = {
        "kibPerConnection": (after - before) / 1024 / crowd.size,
        "residentMb": after / 1e6,
        "beforeMb": before / 1e6,
        "connections": float(crowd.size),
    }
    broken = [f"{state[kind]} {kind}" for kind in ("holes", "twice", "closed") if state[kind]]
    return Repeat(figures, broken=broken, raw={"edges": len(edges), "crowd": state})
