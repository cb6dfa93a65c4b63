"""Which edge gets what: events once per edge, only where a member is; joins, leaves and lost hints."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pytest
from polychat.internal.link.v1.link_service_pb2 import ConnectionOpened
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomSignal

from services.chat.attached import Connection, Edge
from services.chat.hub import Hub

ANN, BOB, EVE = 1, 2, 3
ROOM, OTHER = 70, 71


@dataclass
class Recorded:
    """An Output that remembers."""

    events: list[tuple[int, int]] = field(default_factory=list)
    heads: list[tuple[int, int]] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    signals: list[RoomSignal] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    draining: bool = False
    ended: bool = False

    def event(self, event: EventRecord) -> None:
        self.events.append((event.room_id, event.sequence))

    def signal(self, signal: RoomSignal) -> None:
        self.signals.append(signal)

    def opened(self, opened: ConnectionOpened) -> None:
        self.lists.append(opened.connection_id)

    def head(self, room_id: int, head_sequence: int) -> None:
        self.heads.append((room_id, head_sequence))

    def revoked(self, session_ids: Sequence[int]) -> None:
        self.sessions.extend(session_ids)

    def drain(self) -> None:
        self.draining = True

    def end(self) -> None:
        self.ended = True


class House:
    """A hub with named edges, and the rooms it listens to."""

    def __init__(self) -> None:
        self.heard: set[int] = set()
        self.hub = Hub(self._listen)
        self.outputs: dict[str, Recorded] = {}
        self._connections = 0

    def _listen(self, room_ids: Collection[int], wanted: bool) -> None:
        assert self.heard.isdisjoint(room_ids) if wanted else self.heard.issuperset(room_ids)
        (self.heard.update if wanted else self.heard.difference_update)(room_ids)

    def edge(self, name: str) -> Edge:
        self.outputs[name] = Recorded()
        return self.hub.attach(name, self.outputs[name])

    def connect(self, edge: Edge, user_id: int, rooms: dict[int, int] | None = None) -> int:
        self._connections += 1
        self.hub.open(edge, Connection(self._connections, user_id, 100 + user_id, 0.0))
        if rooms is not None:
            self.hub.place(user_id, rooms)
        return self._connections


def event(
    sequence: int, room_id: int = ROOM, *, joined: Sequence[int] = (), left: Sequence[int] = ()
) -> EventRecord:
    return EventRecord(room_id=room_id, sequence=sequence, joined_user_ids=joined, left_user_ids=left)


@pytest.fixture
def house() -> House:
    return House()


def test_an_event_goes_once_to_each_edge_with_a_member(house: House) -> None:
    """However many members and connections the edge has; an edge without one gets nothing."""
    one, two, three = house.edge("edge-1"), house.edge("edge-2"), house.edge("edge-3")
    for user_id in (ANN, ANN, BOB):
        house.connect(one, user_id, {ROOM: 4})
    house.connect(two, BOB)
    house.connect(three, EVE, {OTHER: 1})
    house.hub.pass_events([event(5), event(6)])
    assert house.outputs["edge-1"].events == [(ROOM, 5), (ROOM, 6)]
    assert house.outputs["edge-2"].events == [(ROOM, 5), (ROOM, 6)]
    assert house.outputs["edge-3"].events == []


def test_what_was_passed_or_known_is_not_passed_again(house: House) -> None:
    """The room's channel and the membership channel bring the same event; a list may be ahead of a hint."""
    house.connect(house.edge("edge-1"), ANN, {ROOM: 4})
    house.hub.pass_events([event(4), event(5), event(5), event(3)])
    assert house.outputs["edge-1"].events == [(ROOM, 5)]
    assert house.hub.passed(ROOM) == 5


def test_a_join_brings_its_room(house: House) -> None:
    """The first event of a room that nobody here was in; from then on the room is heard."""
    house.connect(house.edge("edge-1"), ANN, {})
    house.hub.pass_events([event(9, joined=[ANN, EVE])])
    assert house.outputs["edge-1"].events == [(ROOM, 9)]
    assert house.heard == {ROOM}
    house.hub.pass_events([event(10)])
    assert house.outputs["edge-1"].events == [(ROOM, 9), (ROOM, 10)]


def test_a_join_reaches_all_edges_of_its_user(house: House) -> None:
    """And the edges that serve the room already, once."""
    one, two = house.edge("edge-1"), house.edge("edge-2")
    house.connect(one, ANN, {ROOM: 4})
    house.connect(one, BOB, {})
    house.connect(two, BOB)
    house.hub.pass_events([event(5, joined=[BOB])])
    assert [house.outputs[name].events for name in ("edge-1", "edge-2")] == [[(ROOM, 5)]] * 2


def test_who_leaves_sees_it_and_nothing_after(house: House) -> None:
    """The room is not heard any longer when it was its last member here."""
    house.connect(house.edge("edge-1"), ANN, {ROOM: 4})
    house.connect(house.edge("edge-2"), BOB, {ROOM: 4})
    house.hub.pass_events([event(5, left=[ANN]), event(6)])
    assert house.outputs["edge-1"].events == [(ROOM, 5)]
    assert house.outputs["edge-2"].events == [(ROOM, 5), (ROOM, 6)]
    house.hub.pass_events([event(7, left=[BOB]), event(8)])
    assert house.outputs["edge-2"].events[-1] == (ROOM, 7)
    assert house.heard == set()


def test_a_join_that_comes_late_is_doubtful(house: House) -> None:
    """Passed over by a later event it may be undone already, so the user's list is to be read again."""
    house.connect(house.edge("edge-1"), ANN, {ROOM: 4})
    house.connect(house.edge("edge-2"), BOB, {})
    before = house.hub.mark(BOB)
    house.hub.pass_events([event(6), event(5, joined=[BOB])])
    assert house.outputs["edge-2"].events == []
    assert house.hub.doubtful == {BOB}
    assert house.hub.mark(BOB) != before


def test_the_repeated_join_of_a_member_is_not_doubtful(house: House) -> None:
    """Both channels bring it; the second time nothing is new."""
    house.connect(house.edge("edge-1"), ANN, {})
    house.hub.pass_events([event(5, joined=[ANN]), event(5, joined=[ANN])])
    assert house.hub.doubtful == set()


def test_an_edge_that_ends_takes_its_connections_along(house: House) -> None:
    """Rooms that only it served are not heard any longer; users with another edge stay."""
    one, two = house.edge("edge-1"), house.edge("edge-2")
    house.connect(one, ANN, {ROOM: 4, OTHER: 1})
    house.connect(two, BOB, {ROOM: 4})
    house.connect(one, BOB)
    house.hub.detach(one)
    house.hub.detach(one)
    assert (house.heard, set(house.hub.users), len(house.hub.edges)) == ({ROOM}, {BOB}, 1)
    house.hub.pass_events([event(5)])
    assert house.outputs["edge-2"].events == [(ROOM, 5)]
    assert house.outputs["edge-1"].events == []


def test_a_second_attach_replaces_the_first(house: House) -> None:
    """The old stream is ended, its connections are forgotten, and its late end harms nobody."""
    old = house.edge("edge-1")
    old_output = house.outputs["edge-1"]
    house.connect(old, ANN, {ROOM: 4})
    new = house.edge("edge-1")
    assert old_output.ended
    assert set(house.hub.users) == set()
    house.connect(new, BOB, {ROOM: 4})
    house.hub.detach(old)
    house.hub.pass_events([event(5)])
    assert house.outputs["edge-1"].events == [(ROOM, 5)]
    assert old_output.events == []


def test_the_last_connection_of_a_user_closes_their_rooms(house: House) -> None:
    """And not an earlier one; closing what is not there is fine."""
    edge = house.edge("edge-1")
    first, second = house.connect(edge, ANN, {ROOM: 4}), house.connect(edge, ANN)
    house.hub.close(edge, first)
    assert house.heard == {ROOM}
    house.hub.close(edge, second)
    house.hub.close(edge, second)
    assert house.heard == set()
    assert set(house.hub.rooms) == set()


def test_placing_moves_a_user_to_exactly_these_rooms(house: House) -> None:
    """It gives the new ones; one who is gone meanwhile is not placed."""
    edge = house.edge("edge-1")
    connection = house.connect(edge, ANN, {ROOM: 4})
    assert house.hub.place(ANN, {OTHER: 2}) == {OTHER}
    assert (house.heard, house.hub.rooms_of(ANN)) == ({OTHER}, {OTHER})
    house.hub.close(edge, connection)
    assert house.hub.place(ANN, {ROOM: 4}) == set()
    assert house.heard == set()


def test_heads_above_what_was_passed_are_told_to_the_rooms_edges(house: House) -> None:
    """Equal and lower ones, and rooms nobody here is in, are not."""
    house.connect(house.edge("edge-1"), ANN, {ROOM: 4, OTHER: 9})
    house.connect(house.edge("edge-2"), BOB, {OTHER: 9})
    house.hub.pass_events([event(5)])
    assert house.hub.compare({ROOM: 5, OTHER: 8, 99: 100}) == 0
    assert house.hub.compare({ROOM: 7, OTHER: 9}) == 1
    assert house.outputs["edge-1"].heads == [(ROOM, 7)]
    assert house.outputs["edge-2"].heads == []
    house.hub.pass_events([event(6)])
    assert house.outputs["edge-1"].events[-1] == (ROOM, 6)


def test_signals_sessions_and_draining_reach_their_edges(house: House) -> None:
    """Signals those of the room, the others all."""
    house.connect(house.edge("edge-1"), ANN, {ROOM: 4})
    house.edge("edge-2")
    house.hub.pass_signal(RoomSignal(room_id=ROOM, user_id=ANN, typing=True))
    house.hub.pass_signal(RoomSignal(room_id=OTHER, user_id=ANN, typing=True))
    house.hub.revoke([101])
    house.hub.drain()
    assert [len(house.outputs[name].signals) for name in ("edge-1", "edge-2")] == [1, 0]
    assert all(output.sessions == [101] and output.draining for output in house.outputs.values())
