"""The search for the highest rate that holds."""

from __future__ import annotations

import pytest

from bench.ramps import GROWTH, HALVINGS, highest


class Limit:
    """Holds up to a rate, and remembers what was tried."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.tried: list[int] = []

    async def holds(self, rate: int) -> bool:
        """Whether a rate is within the limit."""
        self.tried.append(rate)
        return rate <= self.rate


@pytest.mark.parametrize("limit", [40, 700, 1_000, 1_499, 12_345, 90_000])
async def test_it_finds_the_limit_from_either_side(limit: int) -> None:
    """Within the last halved step, never above it."""
    found = await highest(Limit(limit).holds, 1_000)
    assert found is not None
    assert limit / GROWTH ** (1 / 2**HALVINGS) * 0.99 <= found <= limit


async def test_what_never_holds_has_no_rate() -> None:
    """And it ends."""
    nothing = Limit(0)
    assert await highest(nothing.holds, 1_000) is None
    assert len(nothing.tried) < 20


async def test_what_always_holds_ends_too() -> None:
    """The last rate tried is what is told."""
    everything = Limit(float("inf"))
    assert await highest(everything.holds, 1_000) == everything.tried[-1]
