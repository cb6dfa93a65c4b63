"""What is attached to this chat instance: edges, their connections, and the way down to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from polychat.internal.link.v1.link_service_pb2 import ConnectionOpened
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomSignal


class Output(Protocol):
    """The way down to one edge; nothing here may block."""

    def event(self, event: EventRecord) -> None:
        """Passes an event on."""

    def signal(self, signal: RoomSignal) -> None:
        """Passes a signal on; may be dropped."""

    def opened(self, opened: ConnectionOpened) -> None:
        """Tells a connection's rooms, the first time or again."""

    def head(self, room_id: int, head_sequence: int) -> None:
        """Tells a head to compare with."""

    def revoked(self, session_ids: Sequence[int]) -> None:
        """Tells that sessions ended."""

    def drain(self) -> None:
        """Tells that this instance is about to leave."""

    def end(self) -> None:
        """Ends the stream."""


@dataclass(slots=True)
class Connection:
    """A live connection of a user, as the token said."""

    connection_id: int
    user_id: int
    session_id: int
    expire_time: float
    told: bool = False
    """Its edge has its rooms; until then it waits for a list that was read since it opened."""


@dataclass(slots=True, eq=False)
class Edge:
    """An attached edge: its connections, and how many each user has."""

    name: str
    output: Output
    connections: dict[int, Connection] = field(default_factory=dict)
    users: dict[int, int] = field(default_factory=dict)
