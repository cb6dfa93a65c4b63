"""The product's own state machines on one seeded scheduler: nothing lost, doubled or shuffled.

A failing seed replays exactly: `./scripts/simulate --seed N`. Message edits are not in the product yet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.simulation.__main__ import main
from tests.simulation.limits import RARE
from tests.simulation.run import Result, run_seed

ROOT = Path(__file__).resolve().parents[2]
GROUP = 25
SEEDS = 500
LONG_SEEDS = 10_000


@cache
def _results(first: int) -> list[Result]:
    """Of a group of seeds; each runs once, however many tests ask."""
    return [run_seed(seed) for seed in range(first, first + GROUP)]


@pytest.mark.parametrize("first", range(1, SEEDS + 1, GROUP))
def test_every_promise_is_kept(first: int) -> None:
    """Under kills, stops, partitions, lost, late, doubled and reordered messages, for 500 seeds."""
    failed = [result for result in _results(first) if result.breaches]
    lines = [f"./scripts/simulate --seed {result.seed}: {result.breaches[0]}" for result in failed]
    assert not failed, "\n".join(lines)


def test_what_is_rare_happens() -> None:
    """Gaps, skips, rings that do not reach back, lagging readers: without a seed they would go untried."""
    seen = Counter[str]()
    for first in range(1, SEEDS + 1, GROUP):
        for result in _results(first):
            seen.update(result.seen)
    assert not [what for what in RARE if not seen[what]]


@pytest.mark.long
def test_every_promise_is_kept_ten_thousand_times() -> None:
    """The same for many more seeds, on all cores; what fails is printed with how to replay it."""
    assert main(["--first", str(SEEDS + 1), "--seeds", str(LONG_SEEDS)]) == 0


def test_without_faults_everything_is_answered() -> None:
    """What is sent by a member is acknowledged when nothing breaks."""
    result = run_seed(1, calm=True)
    assert result.breaches == []
    assert result.acknowledged > 10


def test_a_seed_replays_exactly() -> None:
    """Two runs of a seed do the same steps in the same order, two seeds do not."""
    traces = [run_seed(seed).trace for seed in (7, 8, 7)]
    assert traces[0] == traces[2]
    assert traces[0] != traces[1]


def test_a_seed_replays_exactly_in_another_process() -> None:
    """Neither what ran before nor the hashes of strings nor addresses decide anything."""
    script = "from tests.simulation.run import run_seed; print(run_seed(9).trace)"
    traces = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert traces == {run_seed(9).trace}
