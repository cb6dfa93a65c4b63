"""What all clients did and saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.history import Kind, Record

if TYPE_CHECKING:
    from tests.simulation.client import Person

OF_PERSON = (
    Kind.INVOKE,
    Kind.OK,
    Kind.FAIL,
    Kind.UNKNOWN,
    Kind.READING,
    Kind.READ,
    Kind.DENIED,
    Kind.STATE,
)
"""What is a person's, whatever connection it came over; the rest is noted for each connection."""


@dataclass
class Journal:
    """What all clients did and saw, and breaches that no record shows."""

    clock: Callable[[], float]
    records: list[Record] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    """How often each thing happened that only small limits make happen (limits.RARE)."""

    def note(self, client: Person, kind: Kind, room: int, view: str = "", **fields: Any) -> None:
        """Writes one line, now; a `view` of its own is for sends that keep no order with the person's others,
        and for pages."""
        now = self.clock() + len(self.records) * 1e-9  # no two at one moment: time is an order here
        view = view or (client.name if kind in OF_PERSON else client.view_of(room))
        self.records.append(Record(view, client.user_id, now, kind, room, **fields))
