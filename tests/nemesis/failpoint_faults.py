"""Processes that die, fail or stall at one exact place of a message's way (chassis/failpoints.py)."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import httpx

from tests.nemesis.fault import RETURN_SECONDS, Fault, Inject, World
from tests.support.api import ApiError

IN_MESSAGE = (
    "message.before_poll",
    "message.before_commit",
    "message.after_commit",
    "message.after_publish",
    "message.before_offset",
)
FATAL = {
    "chat": ("chat.before_produce", "chat.after_produce", "chat.before_reply", "chat.outbox_produced"),
    "message": IN_MESSAGE,
    "edge-1": ("edge.before_sent",),
    "edge-2": ("edge.before_sent",),
}
FAILING = {
    "chat": ("chat.before_produce", "chat.after_produce", "chat.outbox_produced"),
    "message": IN_MESSAGE,
}
IN_DRAIN = {"chat": ("chat.in_drain",), "edge-1": ("edge.in_drain",), "edge-2": ("edge.in_drain",)}
IN_REGISTRATION = {"auth": ("auth.reserved", "auth.profile_made", "auth.activated")}
LATEST_HIT = 5
STALL_SECONDS = (1.0, 6.0)
SCATTERED = 0.5
AGAIN_SECONDS = 0.2
"""Before somebody whom no edge heard tries again."""


def failpoint_faults() -> list[Fault]:
    """Each arms one point for one life of a process."""
    return [
        *_faults("kill", FATAL, _kills),
        *_faults("fail", FAILING, _fails),
        *_faults("stall", FATAL, _stalls),
        *_faults("kill", IN_DRAIN, partial(_in_drain, "kill")),
        *_faults("stall", IN_DRAIN, partial(_in_drain, "stall")),
        *_faults("kill", IN_REGISTRATION, partial(_in_registration, "kill")),
        *_faults("fail", IN_REGISTRATION, partial(_in_registration, "error")),
        *_faults("stall", IN_REGISTRATION, partial(_in_registration, "stall")),
    ]


def _faults(
    verb: str, points: Mapping[str, tuple[str, ...]], inject: Callable[[str, str, str], Inject]
) -> Iterator[Fault]:
    seconds = STALL_SECONDS if verb == "stall" else (0.0, 0.0)
    for part, names in points.items():
        for point in names:
            where = f" in {part}" if part.startswith("edge-") else ""
            name = f"{verb} at {point}{where}"
            yield Fault(name, part, inject(name, part, point), seconds)


def _kills(_name: str, part: str, point: str) -> Inject:
    async def kill(world: World, _seconds: float, chance: random.Random) -> None:
        pid = await world.armory.arm(part, f"{point}=kill@{chance.randint(1, LATEST_HIT)}")
        if part.startswith("edge"):
            _scatter(world, chance)
        await world.stack.back(part, pid, RETURN_SECONDS)

    return kill


def _fails(name: str, part: str, point: str) -> Inject:
    async def fail(world: World, _seconds: float, chance: random.Random) -> None:
        await world.armory.arm(part, f"{point}=error@{chance.randint(1, LATEST_HIT)}")
        await _reached(world, name, part, point)

    return fail


def _stalls(name: str, part: str, point: str) -> Inject:
    async def stall(world: World, seconds: float, chance: random.Random) -> None:
        await world.armory.arm(part, f"{point}=stall({seconds:.1f})@1")
        if part.startswith("edge"):
            _scatter(world, chance)
        await _reached(world, name, part, point)
        await asyncio.sleep(seconds)

    return stall


def _in_drain(action: str, name: str, part: str, point: str) -> Inject:
    """It is asked to end, and comes to the point by that."""

    async def end(world: World, seconds: float, _chance: random.Random) -> None:
        pid = await world.armory.arm(part, f"{point}={_lasting(action, seconds)}")
        world.stack.kill(part, signal.SIGTERM)
        await _reached(world, name, part, point)
        await world.stack.back(part, pid, RETURN_SECONDS)

    return end


def _in_registration(action: str, name: str, part: str, point: str) -> Inject:
    """Nobody else registers while the swarm sends; whoever does so gets in, under one name or another."""

    async def register(world: World, seconds: float, _chance: random.Random) -> None:
        pid = await world.armory.arm(part, f"{point}={_lasting(action, seconds)}")
        await _let_in(world)
        await _reached(world, name, part, point)
        if action == "kill":
            await world.stack.back(part, pid, RETURN_SECONDS)

    return register


def _lasting(action: str, seconds: float) -> str:
    return f"stall({seconds:.1f})" if action == "stall" else action


async def _let_in(world: World) -> None:
    async with asyncio.timeout(RETURN_SECONDS):
        while True:
            try:
                await world.swarm.api.register("newcomer", RETURN_SECONDS)
            except httpx.TransportError:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except ApiError as error:
                world.swarm.journal.complaints.append(f"a newcomer was refused: {error}")
            return


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
