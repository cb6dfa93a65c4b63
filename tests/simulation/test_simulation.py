"""The product's own state machines on one seeded scheduler: nothing lost, doubled or shuffled.

A failing seed replays exactly: `./scripts/simulate --seed N`. Message edits are not in the product yet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.run import run_seed

ROOT = Path(__file__).resolve().parents[2]
GROUP = 25
SEEDS = 500


@pytest.mark.parametrize("first", range(1, SEEDS + 1, GROUP))
def test_every_promise_is_kept(first: int) -> None:
    """Under kills, stops, partitions, lost, late, doubled and reordered messages, for 500 seeds."""
    failed = [result for result in map(run_seed, range(first, first + GROUP)) if result.breaches]
    lines = [f"./scripts/simulate --seed {result.seed}: {result.breaches[0]}" for result in failed]
    assert not failed, "\n".join(lines)


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
