"""A hub with one edge and everything that hints touch, over a room log in memory."""

from __future__ import annotations

from collections.abc import Iterable

from polychat.internal.log.v1.record_pb2 import EventRecord

from services.chat import ports
from services.chat.attached import Connection
from services.chat.domain import Membership
from services.chat.hints import Hints
from services.chat.hub import Hub
from services.chat.link_output import LinkOutput
from services.chat.placement import Placement
from services.chat.repair import Repair
from services.chat.use_cases.members import MemberCache
from services.chat.use_cases.pending import Pending
from tests.support.chat_log import LogRoom, MemoryLog
from tests.support.chat_world import Time


class Place:
    """A hub with one edge, everything that hints touch, and a message service to ask."""

    def __init__(self) -> None:
        self.time = Time()
        self.hub = Hub(lambda _rooms, _wanted: None)
        self.pending = Pending(self.time, first=10)
        self.log = MemoryLog()
        self.members = MemberCache(self._read, self.time)
        self.placement = Placement(self.hub, self.log)
        self.behind: list[int] = []
        self.repair = Repair(
            self.hub, self.placement, self.time, on_compare=self.behind.append, sleep=self.time.sleep
        )
        self.asked: list[int] = []
        self.hints = Hints(
            instance="chat-1", hub=self.hub, pending=self.pending, members=self.members, repair=self.ask
        )
        self.output = LinkOutput("chat-1")
        self.edge = self.hub.attach("edge-1", self.output)

    async def _read(self, keys: Iterable[ports.RoomMember]) -> dict[ports.RoomMember, Membership]:
        return {key: Membership(*key) for key in keys}

    def ask(self, partitions: Iterable[int]) -> None:
        """Notes what is to be compared, and passes it on."""
        found = list(partitions)
        self.asked += found
        self.repair.request(found)

    def open(self, user_id: int) -> None:
        """A connection whose rooms are not known yet."""
        self.hub.open(self.edge, Connection(user_id, user_id, 100 + user_id, 0.0))

    def connect(self, user_id: int, heads: dict[int, int]) -> None:
        """A connection that was told its rooms, which have these heads."""
        self.open(user_id)
        self.edge.connections[user_id].told = True
        self.hub.place(user_id, heads)

    def write(self, room_id: int, sequence: int, *, joined: int = 0, left: int = 0) -> EventRecord:
        """Commits events up to a sequence; the last one may start or end a membership."""
        room = self.log.rooms.setdefault(room_id, LogRoom())
        while len(room.events) < sequence:
            room.events.append(EventRecord(room_id=room_id, sequence=len(room.events) + 1))
        if joined:
            room.events[-1].joined_user_ids.append(joined)
            room.members[joined] = sequence
        if left:
            room.events[-1].left_user_ids.append(left)
            room.part(left, sequence)
        return room.events[-1]

    def events(self) -> list[int]:
        """Sequences that the edge was told and has not taken yet."""
        return [event.sequence for event in self.output._frames[-1].message.events]

    def told(self) -> list[tuple[int, list[tuple[int, int, int]]]]:
        """By connection, its rooms as the edge was told them: (room, head, first sequence)."""
        return [
            (opened.connection_id, [(r.room_id, r.head_sequence, r.joined_sequence) for r in opened.rooms])
            for frame in self.output._frames
            for opened in frame.message.opened
        ]

    def ended(self) -> list[tuple[str, int, list[tuple[int, int, int]]]]:
        """By edge and connection, memberships that are over as they were told: (room, first, last)."""
        return [
            (
                edge.name,
                opened.connection_id,
                [(e.room_id, e.joined_sequence, e.left_sequence) for e in opened.ended],
            )
            for edge in self.hub.edges
            for frame in edge.output._frames  # type: ignore[attr-defined]
            for opened in frame.message.opened
        ]

    def heads(self) -> list[tuple[int, int]]:
        """The same for heads."""
        return [(head.room_id, head.head_sequence) for head in self.output._frames[-1].message.heads]
