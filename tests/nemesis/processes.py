"""Faults of processes: killed, frozen, asked to end, and a worker of PostgreSQL killed under it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal

from tests.nemesis.fault import RETURN_SECONDS, Fault, Inject, World
from tests.support.family import family
from tests.support.outages import frozen

OURS = ("auth", "user", "chat", "message", "edge-1", "edge-2")
BACKING = ("redis", "consul", "postgres", "kafka")
FREEZE_SECONDS = (2.0, 15.0)
FREEZE_EDGE_SECONDS = (2.0, 7.0)
"""Clients give up an answer after 15 s, and a thawed edge may still take its 5 s for it."""
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
    return faults


def _ends(part: str, number: signal.Signals) -> Inject:
    async def end(world: World, _seconds: float, _chance: random.Random) -> None:
        pid = world.stack.pid(part)
        os.kill(pid, number)
        await world.stack.back(part, pid, RETURN_SECONDS)

    return end


def _freezes(part: str) -> Inject:
    async def freeze(world: World, seconds: float, _chance: random.Random) -> None:
        with frozen(world.stack, part):
            await asyncio.sleep(seconds)

    return freeze


async def _kill_worker(world: World, _seconds: float, chance: random.Random) -> None:
    """The postmaster then ends all others and recovers, as after a crash."""
    workers = family(world.stack.pid("postgres"))[1:]
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(workers), signal.SIGKILL)
