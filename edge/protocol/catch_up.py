"""The order of one room, and what a client with a cursor is owed. Pure rules.

`RoomLog` lets events out in sequence only: a duplicate vanishes, an early one waits for those
before it. `plan` decides how a cursor is brought to the head.
"""

from __future__ import annotations

import enum
from collections import deque

from edge.protocol.events import Event
from edge.protocol.limits import EARLY_BYTES, EARLY_EVENTS, REPLAY_ROOM, RING_BYTES, RING_EVENTS
from edge.protocol.rings import Rings


class RoomLog:
    """The head of a room, its last events, and the holes that are known of."""

    __slots__ = ("_early", "_early_bytes", "_ring", "_ring_bytes", "_rings", "head", "target")

    def __init__(self, head: int, rings: Rings | None = None) -> None:
        self.head = head
        """Every event up to here was let out or was before our time."""
        self.target = head
        """The highest sequence that is known to exist."""
        self._ring: deque[Event] = deque()
        self._ring_bytes = 0
        self._rings = rings or Rings()
        self._early: dict[int, Event] | None = None
        self._early_bytes = 0

    @property
    def missing(self) -> bool:
        """Whether events are known to exist that have not come."""
        return self.target > self.head

    def observe(self, head: int) -> bool:
        """Takes note that the room has this head. True when something is missing."""
        self.target = max(self.target, head)
        return self.missing

    def accept(self, event: Event) -> list[Event]:
        """Takes an event in; gives those that may go out now, in order, none twice."""
        if event.sequence <= self.head:
            return []
        self.target = max(self.target, event.sequence)
        if event.sequence > self.head + 1:
            self._keep(event)
            return []
        out = [event]
        self._advance(event)
        while self._early:
            following = self._early.pop(self.head + 1, None)
            if following is None:
                break
            self._early_bytes -= following.size
            self._advance(following)
            out.append(following)
        if not self._early:
            self._forget_early()
        return out

    def give_up(self) -> None:
        """Stops waiting for what is missing: the store does not have it (a restored database)."""
        self.target = self.head
        self._forget_early()

    def set_back(self, head: int) -> None:
        """The log ends here after all (a restored database): what was kept is of another one."""
        self.head = self.target = head
        self._forget_early()
        self.drop_ring()

    def since(self, cursor: int) -> list[Event] | None:
        """The events after a cursor, or None when the ring does not reach back that far."""
        if cursor >= self.head:
            return []
        if not self._ring or self._ring[0].sequence > cursor + 1:
            return None
        return [event for event in self._ring if event.sequence > cursor]

    def drop_ring(self) -> None:
        """Holds no event any more: who is behind is served from the log."""
        self._ring.clear()
        size, self._ring_bytes = self._ring_bytes, 0
        self._rings.shrank(self, size)

    def _advance(self, event: Event) -> None:
        ring, size = self._ring, event.size
        self.head = event.sequence
        ring.append(event)
        while len(ring) > RING_EVENTS or self._ring_bytes + size > RING_BYTES:
            size -= ring.popleft().size
        self._ring_bytes += size
        self._rings.grew(self, size)

    def _keep(self, event: Event) -> None:
        if self._early is None:
            self._early = {}
        fits = len(self._early) < EARLY_EVENTS and self._early_bytes + event.size <= EARLY_BYTES
        if fits and event.sequence not in self._early:
            self._early[event.sequence] = event
            self._early_bytes += event.size

    def _forget_early(self) -> None:
        self._early = None
        self._early_bytes = 0


class Resume(enum.Enum):
    """How a cursor gets to the head."""

    LIVE = "live"
    """It is there: events from now on."""
    REPLAY = "replayed"
    """Events after it follow, then live."""
    GAP = "gap"
    """Too much was missed: one `gap`, then live."""
    RESET = "reset"
    """It is past the head (a restored database): a `gap` with `reset`, then live."""


def plan(cursor: int | None, head: int, budget: int) -> Resume:
    """What a room's cursor is owed; None: the client has nothing of it.

    `budget` is how many events the connection may still be replayed.
    """
    if cursor is None or cursor == head:
        return Resume.LIVE
    if cursor > head:
        return Resume.RESET
    if head - cursor > min(REPLAY_ROOM, budget):
        return Resume.GAP
    return Resume.REPLAY
