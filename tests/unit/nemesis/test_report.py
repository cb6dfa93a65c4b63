"""What the nemesis tells a person of its run."""

from __future__ import annotations

from collections import Counter

from tests.nemesis.report import Report


def test_a_fault_that_did_not_come_about_is_shown_as_such() -> None:
    """It counts as done, so the line says how often nothing came by the place where it waited."""
    report = Report(1, faults=Counter({"stall at here": 3, "fail at there": 1}))
    report.unreached["stall at here"] += 2
    lines = list(report.lines())
    assert "  stall at here    3  (2 not reached)" in lines
    assert "  fail at there    1" in lines
