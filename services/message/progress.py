"""Notices partitions that have records and do not move. No I/O, no clock of its own."""

from __future__ import annotations

from collections.abc import Mapping

STALL_SECONDS = 20.0
"""A partition that has records and commits none for this long is not being fetched."""


class Progress:
    """Remembers when each partition last moved or had nothing to do."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, float]] = {}

    def stalled(self, now: float, positions: Mapping[int, int], ends: Mapping[int, int]) -> list[int]:
        """The partitions that have stood still for too long before records.

        `positions` and `ends` are those that are worked on now; a partition that is set aside is
        left out by the caller, and its wait begins anew afterwards.
        """
        self._seen = {
            partition: (position, self._since(now, partition, position, ends[partition]))
            for partition, position in positions.items()
        }
        return sorted(p for p, (_, since) in self._seen.items() if now - since > STALL_SECONDS)

    def _since(self, now: float, partition: int, position: int, end: int) -> float:
        before, since = self._seen.get(partition, (-1, now))
        return since if before == position and position < end else now
