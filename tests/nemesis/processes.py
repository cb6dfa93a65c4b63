"""Faults of processes: killed, frozen, asked to end, short of descriptors; a worker of PostgreSQL killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal

from tests.nemesis.fault import RETURN_SECONDS, Fault, Inject, World
from tests.support.descriptors import without_descriptors
from tests.support.family import family
from tests.support.outages import frozen

OURS = ("auth", "user", "chat", "message", "edge-1", "edge-2")
BACKING = ("redis", "consul", "postgres", "kafka")
FREEZE_SECONDS = (2.0, 15.0)
FREEZE_EDGE_SECONDS = (2.0, 5.0)
"""A thawed edge may still take its 5 s for an answer, and in 10 s there has to be one."""
SHORT_SECONDS = (2.0, 10.0)
STOP_SIGNALS = {"postgres": signal.SIGINT}
"""What the supervisor sends to end a part, where it is not SIGTERM."""


def process_faults() -> list[Fault]:
    """For every part of the stack."""
    faults = [Fault("kill a worker of postgres", "postgres", _kill_worker)]
    for part in (*OURS, *BACKING):
        freeze = FREEZE_EDGE_SECONDS if part.startswith("edge") else FREEZE_SECONDS
        again = 2 if part in OURS else 1
        faults += [
            Fault(f"kill {part}", part, _ends(part, signal.SIGKILL), weight=again),
            Fault(f"end {part}", part, _ends(part, STOP_SIGNALS.get(part, signal.SIGTERM)), weight=again),
            Fault(f"freeze {part}", part, _freezes(part), freeze, again),
        ]
    faults += [Fault(f"no descriptors in {part}", part, _runs_out(part), SHORT_SECONDS) for part in OURS]
    return faults


def _ends(part: str, number: signal.Signals) -> Inject:
    async def ends(world: World, _seconds: float, _chance: random.Random) -> None:
        await end(world, part, number)

    return ends


async def end(world: World, part: str, number: signal.Signals) -> None:
    """By a signal; returns when the supervisor has the part ready again."""
    pid = world.stack.pid(part)
    os.kill(pid, number)
    await world.stack.back(part, pid, RETURN_SECONDS)


def _freezes(part: str) -> Inject:
    async def freeze(world: World, seconds: float, _chance: random.Random) -> None:
        with frozen(world.stack, part):
            await asyncio.sleep(seconds)

    return freeze


def _runs_out(part: str) -> Inject:
    async def run_out(world: World, seconds: float, _chance: random.Random) -> None:
        with without_descriptors(world.stack.pid(part)):
            await asyncio.sleep(seconds)

    return run_out


async def _kill_worker(world: World, _seconds: float, chance: random.Random) -> None:
    """The postmaster then ends all others and recovers, as after a crash."""
    workers = family(world.stack.pid("postgres"))[1:]
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(workers), signal.SIGKILL)
