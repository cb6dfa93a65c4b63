"""What is printed of repeats: spreads, targets, what was broken."""

from __future__ import annotations

import json

from bench.report import json_line, model_lines, scenario_lines, spreads, target_table
from bench.results import FIGURES, Repeat
from bench.scenarios import SCENARIOS
from bench.targets import TARGETS
from bench.world import Options


def repeats(*micros: float, p50: float = 4.0, broken: tuple[str, ...] = ()) -> list[Repeat]:
    """Of the scenario `rooms`."""
    return [
        Repeat(
            {"deliverP50": p50, "microsPerDelivery": value, "ratioToFloor": value / 8},
            {"chat": value / 2, "edge-1": value / 2},
            broken=broken,
        )
        for value in micros
    ]


def test_a_spread_is_lowest_median_highest() -> None:
    """In the order of the table, whatever the order of the repeats."""
    found = spreads(repeats(90.0, 60.0, 70.0))
    assert list(found) == ["microsPerDelivery", "ratioToFloor", "deliverP50"]
    assert found["microsPerDelivery"] == (60.0, 70.0, 90.0)


def test_a_figure_that_a_repeat_lacks_is_not_told() -> None:
    """A median of fewer values would look like one of all."""
    assert "ratioToFloor" not in spreads([*repeats(60.0), Repeat({"microsPerDelivery": 61.0})])


def test_the_median_decides_on_a_target() -> None:
    """One bad repeat misses nothing, two of three do."""
    assert any("met" in line for line in target_table({"rooms": repeats(60, 70, 90)}, Options()))
    lines = list(target_table({"rooms": repeats(80, 70, 90)}, Options()))
    assert lines[2] == "| rooms | server CPU, us per delivery | ≤ 75 | ≤ 50 | 70 / 80 / 90 | x 10 | missed |"


def test_a_try_is_said_to_be_one() -> None:
    """Fewer than three repeats, or less than the full size, are no figures to quote."""
    told = [
        list(target_table({"rooms": repeats(60)}, options))[-1].startswith("Not to be quoted")
        for options in (Options(), Options(repeats=1), Options(scale=0.1))
    ]
    assert told == [False, True, True]


def test_what_was_broken_is_told_beside_the_figures_and_in_the_json() -> None:
    """Figures of a run that lost something must not pass for good ones."""
    bad = repeats(60.0, broken=("product: 3 lost",))
    lines = list(scenario_lines("rooms", SCENARIOS["rooms"], bad, Options(), ""))
    assert "  BROKEN: product: 3 lost" in lines
    document = json.loads(json_line("rooms", SCENARIOS["rooms"], bad, Options()))
    assert document["broken"] == ["product: 3 lost"]
    assert {"commit", "machine", "options", "figures", "targets", "repeats"} <= set(document)


def test_a_missing_floor_is_told() -> None:
    """With the reason."""
    lines = list(scenario_lines("rooms", SCENARIOS["rooms"], repeats(60.0), Options(), "no compiler"))
    assert "  no floor: no compiler" in lines


def test_the_model_needs_two_loads() -> None:
    """One of them has no slope."""
    assert list(model_lines({"rooms": repeats(60.0)})) == []
    (line,) = model_lines({"rooms": repeats(60.0), "pairs": repeats(500.0)})
    assert line.startswith("model (product; pairs, rooms): CPU per message = ")


def test_every_target_is_of_a_figure_of_a_scenario() -> None:
    """A slip in a name would leave its row out without a word."""
    assert {target.scenario for target in TARGETS} <= set(SCENARIOS)
    assert {target.figure for target in TARGETS} <= set(FIGURES)
