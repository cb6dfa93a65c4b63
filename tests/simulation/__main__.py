"""`./scripts/simulate`: runs seeds over all cores, prints what fails and how to replay it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.simulation.limits import RARE
from tests.simulation.run import Result, run_seed, timed_seed

SEEDS = 500
"""So many show everything that the simulation is for (limits.RARE)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when a promise was broken, or when many seeds did not show what few show."""
    options = _options(arguments)
    if options.seed is not None:
        return _replay(options.seed)
    seeds = range(options.first, options.first + options.seeds)
    began, total = time.monotonic(), Counter[str]()
    faults: Counter[str] = Counter()
    seen = Counter[str]()
    with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=200) as pool:
        for result, seconds in pool.imap_unordered(timed_seed, seeds, chunksize=5):
            total.update(seeds=1, steps=result.steps, sends=result.sends, sent=result.acknowledged)
            total.update(virtual=round(result.seconds), cpu_millis=round(seconds * 1000))
            faults.update(result.faults)
            seen.update(result.seen)
            if result.breaches:
                total.update(failed=1)
                _show(result)
    _sum_up(total, faults, seen, time.monotonic() - began)
    unseen = [what for what in RARE if not seen[what]] if options.seeds >= SEEDS else []
    if unseen:
        print(f"never happened: {', '.join(unseen)}")
    return 1 if total["failed"] or unseen else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/simulate",
        description="Runs the product's own state machines on one seeded scheduler with virtual time.",
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many ({SEEDS})")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--seed", type=int, help="replays this one with every log line of the product")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at once (all cores)")
    return parser.parse_args(arguments)


def _replay(seed: int) -> int:
    result = run_seed(seed, say=print)
    _show(result)
    return 1 if result.breaches else 0


def _show(result: Result) -> None:
    """A result in full; the trace tells whether two runs were the same."""
    verdict = "failed" if result.breaches else "clean"
    print(f"seed {result.seed} {verdict}, trace {result.trace}, {result.steps} steps")
    for breach in result.breaches:
        print(f"  {breach}")
    if result.breaches:
        print(f"  replay: ./scripts/simulate --seed {result.seed}", flush=True)


def _sum_up(total: Counter[str], faults: Counter[str], seen: Counter[str], seconds: float) -> None:
    rare = ", ".join(f"{seen[what]} x {what}" for what in RARE)
    print(
        f"{total['seeds']} seeds, {total['failed']} failed; {total['sends']} sends,"
        f" {total['sent']} acknowledged; {sum(faults.values())} faults; {rare}; {total['steps']} steps in"
        f" {total['virtual']} virtual seconds; {total['cpu_millis'] / 1000:.0f} s of CPU, {seconds:.0f} s"
    )
    for name, count in sorted(faults.items()):
        print(f"  {count:8} {name}")


if __name__ == "__main__":
    sys.exit(main())
