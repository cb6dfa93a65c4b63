"""CPU per message as a line over the number of receivers."""

from __future__ import annotations

import pytest

from bench.model import fit


def test_a_line_is_found_again() -> None:
    """Through three points that lie on one."""
    assert fit({x: 1_430 + 23 * x for x in (2, 50, 1_000)}) == pytest.approx((1_430, 23))


def test_the_largest_room_does_not_decide_alone() -> None:
    """A tenth too much at 1,000 receivers leaves what a message costs at two where it was."""
    points = {x: 300.0 + 20 * x for x in (2, 50, 1_000)}
    points[1_000] *= 1.1
    assert fit(points)[0] == pytest.approx(300, rel=0.2)


def test_one_point_is_no_line() -> None:
    """It says so."""
    with pytest.raises(ValueError, match="two points"):
        fit({50: 1_000.0})
