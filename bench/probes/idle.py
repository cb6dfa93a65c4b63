"""What the whole stack uses while nobody is connected and nothing happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.results import Once, Repeat
from bench.world import World

LONGER = 3
"""Rest is measured for so many times `--seconds`: heartbeats and timers of half a minute are in it."""


@asynccontextmanager
async def open_idle(world: World) -> AsyncIterator[Once]:
    """After `--warm` seconds of rest."""
    await asyncio.sleep(world.options.warm)
    yield lambda: _once(world)


async def _once(world: World) -> Repeat:
    before, began = world.cpu(), time.monotonic()
    await asyncio.sleep(world.options.seconds * LONGER)
    after, lasted = world.cpu(), time.monotonic() - began
    parts = {part: (spent - before.get(part, 0.0)) * 1e3 / lasted for part, spent in after.items()}
    figure = "idleMillisPerSecond"
    return Repeat({figure: sum(parts.values())}, parts, figure, raw={"seconds": lasted})
