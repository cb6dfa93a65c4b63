"""A seed names one sequence of faults, and faults that come together hit different parts."""

from __future__ import annotations

import itertools

import pytest

from chassis.failpoints import POINTS
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
        parts = [part for blow in step.blows for part in blow.fault.parts]
        assert len(parts) == len(set(parts))


def test_every_fault_comes_in_a_long_run_and_lasts_as_long_as_it_may() -> None:
    """Two hundred steps, about half an hour, of five seeds leave none out."""
    blows = list(itertools.chain(*(step.blows for seed in range(5) for step in draw(seed, FAULTS, 200))))
    assert {blow.fault.name for blow in blows} == {fault.name for fault in FAULTS}
    for blow in blows:
        shortest, longest = blow.fault.seconds
        assert shortest <= blow.seconds <= longest


def test_a_power_cut_leaves_nothing_that_another_fault_could_hit() -> None:
    """But what the clients do by themselves."""
    [cut] = [fault for fault in FAULTS if fault.name == "power cut"]
    spared = {fault.part for fault in FAULTS if cut.parts.isdisjoint(fault.parts)}
    assert spared == {"clients"}


def test_nothing_befalls_an_edge_while_its_clients_hear_nothing() -> None:
    """An answer would have to wait for both, longer than it may."""
    silent = [fault for fault in all_faults(links=True) if fault.part == "link client"]
    assert silent
    assert all(fault.parts > {"edge-1", "edge-2"} for fault in silent)


def test_every_crash_window_of_the_product_is_killed_at() -> None:
    """A new point in chassis/failpoints.py is one for the nemesis too."""
    assert {name for name in POINTS if not any(f"kill at {name}" in fault.name for fault in FAULTS)} == set()


def test_names_are_unique() -> None:
    """The report counts by name."""
    faults = all_faults(links=True)
    assert len({fault.name for fault in faults}) == len(faults)
