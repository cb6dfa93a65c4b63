"""What a run of the generator is worth."""

from __future__ import annotations

import pytest

from bench.generator import MUST_BE_ZERO, Measured
from bench.loads import repeat_of


def measured(cpu: float, **seen: int) -> Measured:
    """100 messages to 50 members."""
    good = dict.fromkeys(MUST_BE_ZERO, 0) | {"measuredMessages": 100, "members": 50}
    millis = {"p50": 1.0, "p99": 2.0}
    latencies = {"deliverMillis": millis, "ackMillis": millis, "generatorCpuSeconds": 0.1, "reasons": {}}
    return Measured(good | latencies | seen, {"chat": cpu / 2, "edge-1": cpu / 2})


def test_cpu_is_told_by_delivery_and_beside_the_floor() -> None:
    """Of the whole server and of each part."""
    repeat = repeat_of(measured(0.4), measured(0.05))
    assert repeat.figures["microsPerDelivery"] == pytest.approx(80.0)
    assert repeat.figures["microsPerMessage"] == pytest.approx(4_000.0)
    assert repeat.figures["ratioToFloor"] == pytest.approx(8.0)
    assert repeat.parts == {"chat": pytest.approx(40.0), "edge-1": pytest.approx(40.0)}
    assert repeat.broken == []


def test_without_a_floor_there_is_no_ratio() -> None:
    """And the rest is there."""
    figures = repeat_of(measured(0.4), None).figures
    assert "ratioToFloor" not in figures
    assert figures["microsPerDelivery"] == pytest.approx(80.0)


@pytest.mark.parametrize("kind", MUST_BE_ZERO)
def test_anything_amiss_is_told_of_either_side(kind: str) -> None:
    """A floor that loses messages is no floor."""
    bad = measured(0.1, **{kind: 3})
    assert repeat_of(bad, measured(0.1)).broken == [f"product: 3 {kind}"]
    assert repeat_of(measured(0.1), bad).broken == [f"floor: 3 {kind}"]
