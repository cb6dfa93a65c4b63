"""Metrics of a process, `polychat_<process>_<name>_<unit>`; never a user or room id as a label."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """Makes the metrics of one process, all under its name and in one registry."""

    def __init__(self, process: str) -> None:
        self.registry = CollectorRegistry()
        self._prefix = f"polychat_{process}_"
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.gauge("tasks", "asyncio tasks that are alive").set_function(_tasks)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A count that only rises; `_total` is added by the exposition format."""
        return Counter(self._prefix + name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """A value that rises and falls."""
        return Gauge(self._prefix + name, text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = LATENCY_BUCKETS
    ) -> Histogram:
        """A distribution; seconds unless the name says otherwise."""
        return Histogram(self._prefix + name, text, labels, buckets=tuple(buckets), registry=self.registry)


def _tasks() -> float:
    try:
        return float(len(asyncio.all_tasks()))
    except RuntimeError:
        return 0.0  # scraped outside of a loop
