"""`./scripts/nemesis`: faults at random on a stack of its own, under load; then every promise is checked."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.nemesis.catalogue import all_faults
from tests.nemesis.fault import Fault, World
from tests.nemesis.report import Report
from tests.nemesis.run import strike
from tests.nemesis.schedule import draw
from tests.support.armed import FOLDER, Armory
from tests.support.stack import ATTACH, running_stack
from tests.support.swarm import running_swarm
from tests.support.toxiproxy_stack import linked_stack
from tests.support.wanderers import wanderers

STEPS_A_MINUTE = 30
"""More than there is time for: the plan never ends before the minutes do."""


EVERY = ("",)
"""In every name."""
EPILOG = """
Not drawn, as they need another stack: clock jumps (libfaketime has to be there before a process starts), full
disks (small file systems, as root), packets lost in one direction below TCP (network namespaces, as root), a
second instance of a service, another version beside this one. tests/faults has them. Several nemeses may run
side by side, each with a seed of its own: ports and folders are free ones.
"""


class UncleanError(Exception):
    """A promise was broken; the report says which."""


def main() -> int:
    """The command line. 0: all clean; 1: a promise was broken; 2: wrong arguments."""
    parser = _parser()
    arguments = parser.parse_args()
    os.environ.pop(ATTACH, None)
    faults = [
        fault
        for fault in all_faults(links=arguments.links)
        if any(word in fault.name for word in arguments.only)
    ]
    if not faults:
        parser.error(f"no fault has {' or '.join(map(repr, arguments.only))} in its name; see --list")
    if arguments.list:
        print("\n".join(sorted(fault.name for fault in faults)))
        return 0
    try:
        with tempfile.TemporaryDirectory(prefix="polychat-nemesis-") as scratch:
            os.environ[FOLDER] = scratch
            with linked_stack(Path(scratch)) if arguments.links else running_stack() as stack:
                asyncio.run(_run(Armory(stack, Path(scratch)), faults, arguments))
    except UncleanError:
        print(f"same faults: ./scripts/nemesis {_same_faults(arguments)}")
        return 1
    return 0


def _same_faults(arguments: argparse.Namespace) -> str:
    words = ["--seed", str(arguments.seed), "--minutes", f"{arguments.minutes:g}"]
    words += ["--links"] if arguments.links else []
    words += ["--only", *arguments.only] if arguments.only != EVERY else []
    return shlex.join(words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./scripts/nemesis",
        description=f"{__doc__} Exit code 1 and the logs stay when one is broken.",
        epilog=EPILOG,
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="of faults; default: 5")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="the sequence of faults"
    )
    parser.add_argument("--clients", type=int, default=20, help="that send all the time; default: 20")
    parser.add_argument("--rooms", type=int, default=5, help="that they send in; default: 5")
    parser.add_argument("--wanderers", type=int, default=4, help="that join and leave rooms; default: 4")
    parser.add_argument(
        "--pace", type=float, default=1.0, help="longer pauses, for a busy machine; default: 1, try 2 or 3"
    )
    parser.add_argument("--links", action="store_true", help="also bad links, by toxiproxy (built with Go)")
    parser.add_argument(
        "--only", nargs="+", default=EVERY, metavar="WORD", help="only faults with one of these in their name"
    )
    parser.add_argument("--list", action="store_true", help="only print the names of the faults")
    return parser


async def _run(armory: Armory, faults: Sequence[Fault], arguments: argparse.Namespace) -> None:
    stack = armory.stack
    report = Report(arguments.seed)
    plan = draw(arguments.seed, faults, int(arguments.minutes * STEPS_A_MINUTE) + 1)
    print(f"seed {arguments.seed}, {arguments.minutes:g} minutes, logs in {stack.data / 'logs'}", flush=True)
    seed, pace = arguments.seed, arguments.pace
    async with (
        running_swarm(
            stack, clients=arguments.clients, rooms=arguments.rooms, seed=seed, pace=pace, calls=True
        ) as swarm,
        wanderers(stack, swarm, count=arguments.wanderers, seed=seed) as wandering,
    ):
        swarm.start_sending()
        world, seconds = World(stack, swarm, wandering, armory), arguments.minutes * 60
        await strike(world, plan, seconds, report, lambda line: print(line, flush=True), pace)
    print("\n".join(report.lines()), flush=True)
    if report.broken:
        raise UncleanError


if __name__ == "__main__":
    sys.exit(main())
