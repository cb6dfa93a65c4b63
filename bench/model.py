"""CPU per message as a + b x receivers."""

from __future__ import annotations

from collections.abc import Mapping


def fit(points: Mapping[int, float]) -> tuple[float, float]:
    """a and b, in microseconds, from the CPU per message at some numbers of receivers.

    Weighted by 1 / CPU², so that each load counts the same in per cent; else the largest room alone would
    decide a. ValueError for fewer than two numbers of receivers.
    """
    if len(points) < 2:
        raise ValueError("a line needs two points")
    weights = {x: 1 / y**2 for x, y in points.items()}
    total = sum(weights.values())
    mean_x = sum(w * x for x, w in weights.items()) / total
    mean_y = sum(weights[x] * y for x, y in points.items()) / total
    spread = sum(w * (x - mean_x) ** 2 for x, w in weights.items())
    b = sum(weights[x] * (x - mean_x) * (y - mean_y) for x, y in points.items()) / spread
    return mean_y - b * mean_x, b
