"""Processes that die, fail or stall at one exact place of a message's way (chassis/failpoints.py)."""

from __future__ import annotations

import asyncio
import random

from tests.nemesis.fault import RETURN_SECONDS, Fault, Inject, World

FATAL = {
    "chat": ("chat.before_produce", "chat.after_produce", "chat.before_reply", "chat.outbox_produced"),
    "message": (
        "message.before_commit",
        "message.after_commit",
        "message.after_publish",
        "message.before_offset",
    ),
    "edge-1": ("edge.before_sent",),
}
FAILING = {
    "chat": ("chat.before_produce", "chat.after_produce"),
    "message": ("message.before_commit", "message.after_commit", "message.before_offset"),
}
LATEST_HIT = 5
SCATTERED = 0.5


def failpoint_faults() -> list[Fault]:
    """Each arms one point for one life of a process."""
    return [
        *(Fault(f"kill at {point}", part, _kills(part, point)) for part, point in _all(FATAL)),
        *(Fault(f"fail at {point}", part, _fails(part, point)) for part, point in _all(FAILING)),
        *(Fault(f"stall at {point}", part, _stalls(part, point), (1.0, 6.0)) for part, point in _all(FATAL)),
    ]


def _all(points: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(part, point) for part, names in points.items() for point in names]


def _kills(part: str, point: str) -> Inject:
    async def kill(world: World, _seconds: float, chance: random.Random) -> None:
        pid = await world.armory.arm(part, f"{point}=kill@{chance.randint(1, LATEST_HIT)}")
        if part.startswith("edge"):
            _scatter(world, chance)
        await world.stack.back(part, pid, RETURN_SECONDS)

    return kill


def _fails(part: str, point: str) -> Inject:
    async def fail(world: World, _seconds: float, chance: random.Random) -> None:
        await world.armory.arm(part, f"{point}=error@{chance.randint(1, LATEST_HIT)}")
        await _reached(world, f"fail at {point}", part, point)

    return fail


def _stalls(part: str, point: str) -> Inject:
    async def stall(world: World, seconds: float, chance: random.Random) -> None:
        await world.armory.arm(part, f"{point}=stall({seconds:.1f})@1")
        if part.startswith("edge"):
            _scatter(world, chance)
        await _reached(world, f"stall at {point}", part, point)
        await asyncio.sleep(seconds)

    return stall


def _scatter(world: World, chance: random.Random) -> None:
    """After a restart of one edge all clients are on the other: half of those that are cut come back."""
    for client in world.swarm.clients:
        if chance.random() < SCATTERED:
            client.cut()


async def _reached(world: World, fault: str, part: str, point: str) -> None:
    """Another fault of the same step may keep the process from getting there in time: the report says so."""
    try:
        await world.armory.fired(part, point)
    except TimeoutError:
        world.unreached[fault] += 1
