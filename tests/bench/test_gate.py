"""The regression gate: what a delivery costs our processes, in costs of the C floor's, in the same run."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench.floor_server import Floor
from bench.generator import Measured
from bench.loads import Load, placed
from bench.ramps import NEVER
from bench.world import Options, World
from tests.support.stack import Stack

LOAD = Load(rooms=5, members=50, rate=200)
WARM, SECONDS, REPEATS = 1.0, 3.0, 3
PRESENT = 11.3
"""The median that `./scripts/test --no-checks -- -s tests/bench/test_gate.py` prints; rewritten with it."""
ROOM_FOR_NOISE = 1.3
"""Times. Noise goes the other way: on a busy machine messages wait for each other and leave together, so the
same code costs less there."""
NOT_OURS = {"kafka", "consul", "up"}
"""A JVM costs four times as much in its first minute as after ten; the supervisor is no part of the path."""


def ratio(product: Measured, floor: Measured) -> float:
    """Of our processes, PostgreSQL and Redis to the floor."""
    return sum(micros for part, micros in product.parts.items() if part not in NOT_OURS) / floor.micros


async def test_a_delivery_costs_no_more_than_it_did(
    stack: Stack, load: Path, floor: Floor, tmp_path: Path
) -> None:
    """Median of three, each beside a floor of its own; every delivery is checked as well."""
    world = World(stack, Options(), load, floor, tmp_path)
    place = await placed(world, LOAD.rooms, LOAD.members)
    ratios = []
    for _ in range(REPEATS):
        product = await LOAD.product(world, place, WARM, SECONDS)
        beside = await LOAD.floor(world, WARM, SECONDS)
        assert beside is not None
        assert {kind: product.seen[kind] for kind in NEVER} == dict.fromkeys(NEVER, 0)
        assert product.seen["lost"] <= 0, "acknowledged and not there ten seconds later"
        ratios.append(ratio(product, beside))
    print(f"\nof the floor: {', '.join(f'{one:.1f}' for one in ratios)}; {statistics.median(ratios):.1f}")
    assert statistics.median(ratios) <= PRESENT * ROOM_FOR_NOISE
