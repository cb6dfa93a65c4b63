"""A load at a fixed rate, and the same at the floor beside every repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.floor_server import running_floor
from bench.generator import Measured, generate
from bench.results import Once, Repeat
from bench.world import World
from tests.support.api import Api, User
from tests.support.consul_kv import live_setting
from tests.support.crowd_people import new_people, new_rooms

SETTLE_SECONDS = 5.0
"""Of the same load before each measured time: its connections are new."""
ROOMS_AT_ONCE = 8


Settings = tuple[tuple[str, str, str], ...]
"""Live ones: service, key, value."""


@asynccontextmanager
async def under(world: World, settings: Settings) -> AsyncIterator[None]:
    """Sets them, and takes them back."""
    async with AsyncExitStack() as stack:
        for setting in settings:
            await stack.enter_async_context(live_setting(world.stack, *setting))
        yield


@dataclass(frozen=True)
class Load:
    """So many messages a second into rooms of so many members."""

    rooms: int
    members: int
    rate: int
    settings: Settings = ()
    """Meanwhile."""

    @asynccontextmanager
    async def open(self, world: World) -> AsyncIterator[Once]:
        """The same people and rooms in every repeat."""
        place = await placed(world, self.rooms, self.members)

        async def once() -> Repeat:
            product = await self.product(world, place, SETTLE_SECONDS, world.options.seconds)
            floor = await self.floor(world, SETTLE_SECONDS, world.options.seconds)
            return repeat_of(product, floor)

        async with under(world, self.settings):
            await self.product(world, place, world.options.warm, 1.0)
            yield once

    async def product(self, world: World, place: Path, warm: float, seconds: float) -> Measured:
        """One run against the stack."""
        words = ("-address", world.address, "-place", place, *self._time(warm, seconds))
        return await generate(world.load, words, world.cpu)

    async def floor(self, world: World, warm: float, seconds: float) -> Measured | None:
        """One run against a fresh floor; None when there is no compiler."""
        if world.floor.program is None:
            return None
        async with running_floor(world.floor) as floor:
            shape = ("-floor", "-rooms", self.rooms, "-members", self.members)
            words = ("-address", floor.address, *shape, *self._time(warm, seconds))
            return await generate(world.load, words, floor.cpu)

    def _time(self, warm: float, seconds: float) -> tuple[object, ...]:
        return ("-rate", self.rate, "-warm", f"{warm}s", "-measure", f"{seconds}s")


def repeat_of(product: Measured, floor: Measured | None) -> Repeat:
    """The figures of a run and of the floor beside it."""
    seen = product.seen
    figures = {
        "microsPerDelivery": product.micros,
        "microsPerMessage": product.micros * seen["members"],
        "deliverP50": seen["deliverMillis"]["p50"],
        "deliverP99": seen["deliverMillis"]["p99"],
        "ackP50": seen["ackMillis"]["p50"],
        "ackP99": seen["ackMillis"]["p99"],
        "generatorMicrosPerDelivery": product.generator_micros,
    }
    broken = product.broken("product")
    raw = {"product": seen | {"cpuSeconds": product.cpu}}
    if floor is not None:
        figures["floorMicrosPerDelivery"] = floor.micros
        figures["ratioToFloor"] = product.micros / floor.micros
        figures["floorDeliverP99"] = floor.seen["deliverMillis"]["p99"]
        broken += floor.broken("floor")
        raw["floor"] = floor.seen | {"cpuSeconds": floor.cpu}
    return Repeat(figures, product.parts, broken=broken, raw=raw)


async def placed(world: World, rooms: int, members: int) -> Path:
    """A file for the generator with rooms of people who are in no other; everybody will connect."""
    people = await new_people(world.stack, rooms * members, "load")
    groups = [people[start : start + members] for start in range(0, len(people), members)]
    api = Api(world.stack.http_url)
    gate = asyncio.Semaphore(ROOMS_AT_ONCE)

    async def one(group: list[User]) -> int:
        async with gate:
            (room,) = await new_rooms(api, group[0], [group[1:]])
            return room

    try:
        ids = await asyncio.gather(*map(one, groups))
    finally:
        await api.close()
    return world.write(
        "place.json",
        [
            {"room": str(room), "tokens": [user.access_token for user in group]}
            for room, group in zip(ids, groups, strict=True)
        ],
    )
