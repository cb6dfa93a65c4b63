"""`./scripts/bench`: starts its own stack, loads it, and prints what it cost beside what it is to cost.

Ends with 1 when a promise did not hold under the load (a message lost, doubled or out of order, a send
refused), with 2 when something could not be measured. A missed target is no failure.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Sequence

from bench.report import json_line, model_lines, scenario_lines, target_table
from bench.results import Repeat
from bench.scenarios import SCENARIOS
from bench.world import BenchError, Options, World, need_descriptors, raise_descriptors, world

ALL = "all"


def main() -> int:
    """The command line."""
    options, names = _asked()
    raise_descriptors()
    results: dict[str, list[Repeat]] = {}
    try:
        need_descriptors(max(options.scaled(SCENARIOS[name].clients, 0) for name in names))
        for _, group in itertools.groupby(names, key=lambda name: sorted(SCENARIOS[name].env.items())):
            together = list(group)
            with world(options, SCENARIOS[together[0]].env) as running:
                for name in together:
                    results[name] = asyncio.run(_repeats(name, running))
                    _print(name, results[name], running)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    for line in (*model_lines(results), *target_table(results, options)):
        print(line)
    return 1 if any(repeat.broken for repeats in results.values() for repeat in repeats) else 0


async def _repeats(name: str, running: World) -> list[Repeat]:
    found = []
    async with SCENARIOS[name].open(running) as once:
        for number in range(1, running.options.repeats + 1):
            print(f"{name}: repeat {number} of {running.options.repeats}", flush=True)
            found.append(await once())
    return found


def _print(name: str, repeats: Sequence[Repeat], running: World) -> None:
    scenario, options = SCENARIOS[name], running.options
    for line in scenario_lines(name, scenario, repeats, options, running.floor.missing):
        print(line)
    print(json_line(name, scenario, repeats, options), flush=True)


def _asked() -> tuple[Options, list[str]]:
    listed = "\n".join(f"  {name:<12} {s.text}" for name, s in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="./scripts/bench",
        description=f"{__doc__}\nscenarios:\n{listed}\n  {ALL:<12} every one of them, on one stack",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    usual = Options()
    parser.add_argument("scenario", nargs="*", default=["rooms"], help="which; default: rooms")
    parser.add_argument("--repeats", type=int, default=usual.repeats)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="measured time of each repeat")
    parser.add_argument("--warm", type=float, default=usual.warm, help="seconds of the same load before it")
    parser.add_argument("--edges", type=int, default=usual.edges, help="edge processes")
    parser.add_argument(
        "--scale", type=float, default=usual.scale, help="share of the connections, rows …; below 1: a try"
    )
    parser.add_argument("--base-port", type=int, default=usual.base_port, help="first of 200 free ports")
    words = vars(parser.parse_args())
    chosen = words.pop("scenario")
    names = list(SCENARIOS) if ALL in chosen else chosen
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"no scenario is called {', '.join(unknown)}; there are {', '.join(SCENARIOS)}, {ALL}")
    return Options(**words), names


if __name__ == "__main__":
    sys.exit(main())
