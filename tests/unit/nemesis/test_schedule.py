"""A seed names one sequence of faults, and faults that come together hit different parts."""

from __future__ import annotations

import itertools

import pytest

from tests.nemesis.catalogue import all_faults
from tests.nemesis.schedule import draw

FAULTS = all_faults()


def test_the_same_seed_gives_the_same_sequence() -> None:
    """Names, order, times and seeds; a longer plan begins with the shorter one."""
    assert draw(7, FAULTS, 50)[:20] == draw(7, FAULTS, 20)


def test_another_seed_gives_another_sequence() -> None:
    """In what is done, not only in when."""
    first, second = ([str(step) for step in draw(seed, FAULTS, 20)] for seed in (1, 2))
    assert first != second


@pytest.mark.parametrize("seed", range(5))
def test_faults_that_come_together_hit_different_parts(seed: int) -> None:
    """A part that is killed while it is frozen would hide one fault behind the other."""
    steps = draw(seed, FAULTS, 200)
    assert any(len(step.blows) > 1 for step in steps)
    for step in steps:
        parts = [blow.fault.part for blow in step.blows]
        assert len(parts) == len(set(parts))


def test_every_fault_comes_in_a_long_run_and_lasts_as_long_as_it_may() -> None:
    """Two hundred steps, about half an hour, of five seeds leave none out."""
    blows = list(itertools.chain(*(step.blows for seed in range(5) for step in draw(seed, FAULTS, 200))))
    assert {blow.fault.name for blow in blows} == {fault.name for fault in FAULTS}
    for blow in blows:
        shortest, longest = blow.fault.seconds
        assert shortest <= blow.seconds <= longest


def test_names_are_unique() -> None:
    """The report counts by name."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
