"""The latest 50 messages of a room, out of millions in all rooms."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.probes.calls import Calls, timed
from bench.probes.history_rows import MESSAGES, fill
from bench.results import Once, Repeat
from bench.world import World
from tests.support.api import User
from tests.support.crowd_people import new_people

FULL = 5_000_000
SENDERS = 50
PAGE = 50
CALLS, WARM_CALLS = 1_000, 100
SEED = 5


@asynccontextmanager
async def open_history(world: World) -> AsyncIterator[Once]:
    """Rows put into the tables, and one user who may read them all."""
    rooms = world.options.scaled(FULL, 50 * MESSAGES) // MESSAGES
    reader, *others = await new_people(world.stack, SENDERS + 1, "reader")
    dsn = world.stack.postgres_dsn
    ids = await fill(dsn, rooms, reader.user_id, [one.user_id for one in others])
    chosen = random.Random(SEED)  # noqa: S311 — which rooms, the same in every run
    yield lambda: _once(world, reader, ids, chosen)


async def _once(world: World, reader: User, rooms: list[int], chosen: random.Random) -> Repeat:
    asked = [chosen.choice(rooms) for _ in range(CALLS + WARM_CALLS)]
    calls = Calls("MessageService/ListMessages", '"messageId":', PAGE, WARM_CALLS)
    seen = timed(world, calls, [(reader, {"roomId": str(room), "pageSize": PAGE}) for room in asked])
    parts = {part: spent * 1e6 / len(asked) for part, spent in seen["cpuSeconds"].items()}
    figures = {
        "callP50": seen["millis"]["p50"],
        "callP99": seen["millis"]["p99"],
        "serverMicrosPerCall": sum(parts.values()),
        "messagesStored": float(len(rooms) * MESSAGES),
        "rooms": float(len(rooms)),
    }
    broken = [f"{seen['wrong']} replies without {PAGE} messages"] if seen["wrong"] else []
    return Repeat(figures, parts, "serverMicrosPerCall", broken, {"calls": seen})
