"""How much all rings of a process hold together: the room that moved longest ago gives up its own first."""

from __future__ import annotations

from typing import Protocol

from edge.protocol.limits import RINGS_BYTES


class Ring(Protocol):
    """Something that holds bytes and can let go of them."""

    def drop_ring(self) -> None:
        """Holds nothing any more, and says so to `Rings.grew`."""
        ...


class Rings:
    """The sum over all rings, and in which order they moved."""

    def __init__(self, limit: int = RINGS_BYTES) -> None:
        self.held = 0
        """Bytes, as the rings count them."""
        self._limit = limit
        self._order: dict[Ring, None] = {}

    def grew(self, ring: Ring, size: int) -> None:
        """A ring took on this many bytes and is the latest now; rings at the other end give way."""
        self._order.pop(ring, None)
        self._order[ring] = None
        self.held += size
        while self.held > self._limit and self._order:
            next(iter(self._order)).drop_ring()

    def shrank(self, ring: Ring, size: int) -> None:
        """A ring let go of all it held."""
        self._order.pop(ring, None)
        self.held -= size
