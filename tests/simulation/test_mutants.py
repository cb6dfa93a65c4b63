"""The simulation can fail: each rule of the product that is broken on purpose is found within CI's seeds."""

from __future__ import annotations

from itertools import takewhile

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.run import run_seed

SEEDS = 500


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_broken_rule_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By some seed; the first is enough."""
    MUTANTS[name](monkeypatch)
    clean = list(takewhile(lambda seed: not run_seed(seed).breaches, range(1, SEEDS + 1)))
    assert len(clean) < SEEDS
