"""What the hub keeps of a room and of a user that edges are served with."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.chat.attached import Edge

MAX_LEFT = 256
"""Rooms that a connected user left last, of which it is remembered that their edges were told."""


@dataclass(slots=True)
class ServedRoom:
    """How far a room has come, and who of which edge is in it."""

    passed: int
    """Highest sequence that was passed on, or known when the room was first served."""
    unseen: int
    """Up to here some comings and goings may not have come by; after it, up to `passed`, all have."""
    members: dict[Edge, set[int]] = field(default_factory=dict)


@dataclass(slots=True)
class ServedUser:
    """Where a user with a connection is, as far as is known, and what their edges were told."""

    edges: set[Edge] = field(default_factory=set)
    rooms: set[int] = field(default_factory=set)
    mark: int = 0
    """Another one whenever an event or a list moves the user: a list read before is then out of date."""
    lists: int = 0
    """How many lists they were placed by."""
    outdated: bool = False
    """Their last room list was."""
    left: dict[int, int] = field(default_factory=dict)
    """The last leaving that their edges were told, by room."""

    def note_left(self, room_id: int, sequence: int) -> bool:
        """Their edges are told of a leaving; whether they were not before."""
        known = self.left.pop(room_id, 0)
        self.left[room_id] = max(sequence, known)
        if len(self.left) > MAX_LEFT:
            del self.left[next(iter(self.left))]
        return sequence > known
