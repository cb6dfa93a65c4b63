"""Faults of many processes: all at once, or one after the other."""

from __future__ import annotations

import asyncio
import os
import random
import signal

from tests.nemesis.fault import RETURN_SECONDS, Fault, Inject, World
from tests.nemesis.processes import BACKING, OURS, end
from tests.support.power_cut import kill_all, up_again

SERVICES = ("auth", "user", "chat", "message")


def joint_faults() -> list[Fault]:
    """Nothing else befalls the same processes meanwhile."""
    return [
        Fault("power cut", "up", _power_cut, others=(*OURS, *BACKING)),
        Fault("kill all services", SERVICES[0], _all_end(signal.SIGKILL), others=SERVICES[1:]),
        Fault("end all services", SERVICES[0], _all_end(signal.SIGTERM), others=SERVICES[1:]),
        Fault("rolling restart", OURS[0], _rolling_restart, others=OURS[1:]),
    ]


async def _power_cut(world: World, _seconds: float, _chance: random.Random) -> None:
    kill_all(world.stack)
    again = await asyncio.to_thread(up_again, world.stack, world.armory.folder)
    if again.returncode != 0:
        raise ChildProcessError(f"`up` after the power cut: {again.stdout}")


def _all_end(number: signal.Signals) -> Inject:
    async def end_all(world: World, _seconds: float, _chance: random.Random) -> None:
        pids = {service: world.stack.pid(service) for service in SERVICES}
        for pid in pids.values():
            os.kill(pid, number)
        for service, pid in pids.items():
            await world.stack.back(service, pid, RETURN_SECONDS)

    return end_all


async def _rolling_restart(world: World, _seconds: float, _chance: random.Random) -> None:
    for part in OURS:
        await end(world, part, signal.SIGTERM)
