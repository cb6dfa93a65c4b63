"""Edges that went without a word while people were connected through them. Nobody calls an edge: who
misses one first is the chat instance that it was attached to."""

from __future__ import annotations

from collections.abc import Callable

from chassis import logs
from services.chat.ports import Clock

TOLD_SECONDS = 30.0
"""An edge that does not attach again is told of for so long; it may have attached to another instance."""

log = logs.get("chat")


class LostEdges:
    """Notes who is lost and who is back. `clock` is monotonic."""

    def __init__(self, clock: Clock, on_lost: Callable[[], None]) -> None:
        self._clock = clock
        self._on_lost = on_lost
        self._since: dict[str, float] = {}

    def lost(self, name: str, connections: int) -> None:
        """Its stream broke and it had said the end of none of these connections."""
        log.warning("edge_lost", edge=name, connections=connections)
        self._since[name] = self._clock()
        self._on_lost()

    def back(self, name: str) -> None:
        """It is attached."""
        self._since.pop(name, None)

    def problem(self) -> str | None:
        """For readiness: which edges were lost lately."""
        oldest = self._clock() - TOLD_SECONDS
        self._since = {name: since for name, since in self._since.items() if since > oldest}
        return f"lost {', '.join(sorted(self._since))}" if self._since else None
