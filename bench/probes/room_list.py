"""ListRooms of a user with thousands of rooms, each with a message in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.probes.calls import Calls, timed
from bench.results import Once, Repeat
from bench.world import World
from tests.support.api import Api, User
from tests.support.crowd_people import new_people, new_rooms

FULL = 2_000
AT_ONCE = 8
PAGE, LARGEST_PAGE = 50, 100
"""What a page is when nobody asks for another size, and the largest there is."""
CALLS, WARM_CALLS = 500, 50
WHOLE_LISTS = 5


@asynccontextmanager
async def open_room_list(world: World) -> AsyncIterator[Once]:
    """One user, whom nobody else keeps company."""
    count = world.options.scaled(FULL, PAGE)
    (user,) = await new_people(world.stack, 1, "owner")
    api = Api(world.stack.http_url)
    try:
        rooms = await new_rooms(api, user, [()] * count)
        gate = asyncio.Semaphore(AT_ONCE)

        async def talk(room: int) -> None:
            async with gate:
                await api.send(user, room, "the last message " + "x" * 111)

        await asyncio.gather(*map(talk, rooms))
        yield lambda: _once(world, api, user, count)
    finally:
        await api.close()


async def _once(world: World, api: Api, user: User, count: int) -> Repeat:
    calls = Calls("RoomService/ListRooms", '"lastMessage":', PAGE, WARM_CALLS)
    seen = timed(world, calls, [(user, {"pageSize": PAGE})] * (CALLS + WARM_CALLS))
    whole = []
    broken = [f"{seen['wrong']} wrong pages"] if seen["wrong"] else []
    for _ in range(WHOLE_LISTS):
        began = time.perf_counter()
        found = await api.pages("RoomService/ListRooms", {}, user, "rooms", LARGEST_PAGE)
        whole.append((time.perf_counter() - began) * 1e3)
        if len({room["roomId"] for room in found}) != count:
            broken.append(f"a whole list had {len(found)} of {count} rooms")
    figures = {
        "callP50": seen["millis"]["p50"],
        "callP99": seen["millis"]["p99"],
        "wholeP50": sorted(whole)[len(whole) // 2],
        "wholeP99": max(whole),
        "serverMicrosPerCall": sum(seen["cpuSeconds"].values()) * 1e6 / (CALLS + WARM_CALLS),
        "rooms": float(count),
    }
    parts = {part: spent * 1e6 / (CALLS + WARM_CALLS) for part, spent in seen["cpuSeconds"].items()}
    return Repeat(figures, parts, "serverMicrosPerCall", broken, {"page": seen, "wholeMillis": whole})
