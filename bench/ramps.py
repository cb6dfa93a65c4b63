"""The highest rate that holds: nothing lost, nobody refused, p99 below a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.generator import Measured
from bench.loads import Load, placed, under
from bench.results import Once, Repeat
from bench.world import World
from tests.support.crowd_watch import total
from tests.support.eventually import eventually

P99_MILLIS = 500.0
GROWTH = 1.5
"""Between two steps upwards; the two steps that halve the last one leave some 10 % of doubt."""
HALVINGS = 2
STEPS = 14
"""At the most, upwards or downwards."""
DRAIN_SECONDS = 120.0
NEVER = ("twice", "holes")
"""Wrong at any load. The rest may come of too much of it, is told to the client, and ends the ramp."""
STEP_WARM, STEP_SECONDS = 0.1, 0.25
"""Shares of `--warm` and `--seconds` that a step takes."""
LAST_OF_WARM = 1.0
"""Before the first ramp the stack carries half of the first rate for `--warm` seconds and this one."""
UNLIMITED = (
    ("edge", "frames_per_second", "10000"),
    ("edge", "frames_burst", "10000"),
    ("chat", "send_rate", "10000"),
    ("chat", "send_burst", "100000"),
)
"""A person may send 20 frames a second; here a thousand connections stand for many more people."""

Try = Callable[[int], Awaitable[bool]]


async def highest(holds: Try, start: int) -> int | None:
    """The highest rate found that holds; None when none did."""
    rate, good, bad = start, None, None
    for _ in range(STEPS):
        if await holds(rate):
            good = rate
            if bad is not None:
                break
            rate = round(rate * GROWTH)
        else:
            bad = rate
            if good is not None:
                break
            rate = max(1, round(rate / GROWTH))
    if good is None or bad is None:
        return good
    for _ in range(HALVINGS):
        middle = round((good * bad) ** 0.5)
        if await holds(middle):
            good = middle
        else:
            bad = middle
    return good


@dataclass(frozen=True)
class Ramp:
    """Steps of a load from a rate upwards, the stack's and then the floor's."""

    rooms: int
    members: int
    start: int

    @asynccontextmanager
    async def open(self, world: World) -> AsyncIterator[Once]:
        """The same people and rooms in every repeat, with no limit on what one of them may send."""
        place = await placed(world, self.rooms, self.members)

        async def once() -> Repeat:
            return await self._once(world, place)

        async with under(world, UNLIMITED):
            await Load(self.rooms, self.members, self.start // 2).product(
                world, place, world.options.warm, LAST_OF_WARM
            )
            yield once

    async def _once(self, world: World, place: Path) -> Repeat:
        load = Load(self.rooms, self.members, self.start)
        time = (max(1.0, world.options.warm * STEP_WARM), max(2.0, world.options.seconds * STEP_SECONDS))

        async def step(rate: int) -> Measured:
            measured = await replace(load, rate=rate).product(world, place, *time)
            await eventually(lambda: _drained(world), seconds=DRAIN_SECONDS, what="the end of what was sent")
            return measured

        product = _Search(step)
        floor = _Search(lambda rate: replace(load, rate=rate).floor(world, *time))
        await highest(product.holds, self.start)
        if world.floor.program is not None:
            await highest(floor.holds, self.start)
        figures = product.figures("") | floor.figures("floor")
        parts = product.best.parts if product.best is not None else {}
        broken = [f"product: {text}" for text in product.broken] + [f"floor: {text}" for text in floor.broken]
        if product.best is None:
            broken.append("no rate held")
        raw = {"product": product.steps, "floor": floor.steps}
        return Repeat(figures, parts, broken=broken, raw=raw)


class _Search:
    """Runs steps and keeps the best of them."""

    def __init__(self, run: Callable[[int], Awaitable[Measured | None]]) -> None:
        self._run = run
        self.best: Measured | None = None
        self.steps: list[dict[str, Any]] = []
        self.broken: list[str] = []

    async def holds(self, rate: int) -> bool:
        """Whether a rate does."""
        step = await self._run(rate)
        assert step is not None
        good = not step.broken("") and step.seen["deliverMillis"]["p99"] < P99_MILLIS
        self.broken += [f"{step.seen[kind]} {kind} at {rate}" for kind in NEVER if step.seen[kind]]
        self.steps.append(step.seen | {"holds": good, "cpuSeconds": step.cpu})
        print(f"    {rate} a second: {'holds' if good else 'too much'}, {_words(step)}", flush=True)
        if good and (self.best is None or rate > self.best.seen["rate"]):
            self.best = step
        return good

    def figures(self, who: str) -> dict[str, float]:
        """Of the best step; who it is of comes before each name."""
        if self.best is None:
            return {}
        seen = self.best.seen
        found = {
            "messagesPerSecond": float(seen["rate"]),
            "deliveriesPerSecond": float(seen["rate"] * seen["members"]),
            "microsPerDelivery": self.best.micros,
            "deliverP99": seen["deliverMillis"]["p99"],
        }
        if not who:
            return found | {"generatorMicrosPerDelivery": self.best.generator_micros}
        return {who + name[0].upper() + name[1:]: value for name, value in found.items()}


async def _drained(world: World) -> bool:
    """Nothing of a step that was too much is under way into the next."""
    waiting = await total(world.stack, "chat", "polychat_chat_pending")
    behind = await total(world.stack, "message", "polychat_message_consumer_lag_records")
    return waiting == behind == 0


def _words(step: Measured) -> str:
    wrong = ", ".join(text.removeprefix(": ") for text in step.broken(""))
    p99 = step.seen["deliverMillis"].get("p99", float("nan"))
    return f"p99 {p99:.0f} ms, {step.micros:.1f} us per delivery{wrong and ', ' + wrong}"
