"""Small limits for some seeds: what takes hundreds of events otherwise happens within seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import edge.holes
import edge.protocol.catch_up
import edge.resume
from edge.metrics import EdgeMetrics
from edge.protocol.events import Event

RARE = ("gap", "skip", "ring overflow", "lag mode")
"""What the usual limits never let happen in a run this short: frames, and states of the edge."""
EVERY = 3
"""One seed in so many has small limits."""
SLOW_READERS = 0.8
ABSENCES = 1.0
"""How often somebody stops reading, and is removed and taken back while away (a weight in Scenario.one)."""
SLOW_SECONDS = (0.3, 1.0, 4.0)
SETTINGS = {"slow_bytes": 300, "unsent_bytes": 900, "stalled_seconds": 3.0}
"""Of the edge: an event is about 100 bytes."""
_REPLAY = {"REPLAY_ROOM": 6, "REPLAY_CONNECTION": 9, "REPLAY_SLOW": 3}
"""A connection's replay is less than that of two rooms, of which every run has two."""
_LIMITS: Mapping[ModuleType, Mapping[str, int]] = {
    edge.protocol.catch_up: {"RING_EVENTS": 4, "EARLY_EVENTS": 3, "REPLAY_ROOM": 6},
    edge.resume: _REPLAY,
    edge.holes: {"REPLAY_ROOM": 6},
}


@contextmanager
def small() -> Iterator[None]:
    """While this lasts the edge has small limits."""
    with ExitStack() as patches:
        for module, limits in _LIMITS.items():
            for name, limit in limits.items():
                patches.enter_context(patch.object(module, name, limit))
        yield


@contextmanager
def counted(seen: Counter[str]) -> Iterator[None]:
    """While this lasts the states of the edge that no client sees are counted."""
    log: Any = edge.protocol.catch_up.RoomLog
    since, lags = log.since, EdgeMetrics.lags

    def counting_since(self: Any, cursor: int) -> list[Event] | None:
        found: list[Event] | None = since(self, cursor)
        if found is None and self._ring:
            seen["ring overflow"] += 1
        return found

    def counting_lags(self: EdgeMetrics, change: int) -> None:
        if change > 0:
            seen["lag mode"] += 1
        lags(self, change)

    with patch.object(log, "since", counting_since), patch.object(EdgeMetrics, "lags", counting_lags):
        yield
