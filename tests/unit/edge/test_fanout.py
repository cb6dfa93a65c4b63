"""Who gets what (I4, I5): a model of rooms and members against the fan-out, with hints lost and swapped."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.event.v1.room_event_pb2 import RoomEvent

from chassis.telemetry import Metrics
from edge.fanout import Fanout
from edge.metrics import EdgeMetrics
from edge.peer import Outbox, Peer
from edge.protocol.connection import Connection
from edge.protocol.events import Event, Wire
from edge.room import Room, User


class Loop:
    """An event loop's call_soon, done by hand."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, work: Any) -> None:
        self.soon.append(work)


class StubPeer(Peer):
    """Keeps what is written to it, write by write."""

    def __init__(self, number: int, wire: Wire, outbox: Outbox) -> None:
        super().__init__(Connection(number), wire, outbox, "")
        self.writes: list[list[bytes]] = []

    slow = False
    unsent = 0
    taken = 0

    def transmit(self, chunks: list[bytes]) -> None:
        self.writes.append(chunks)

    async def drained(self) -> None: ...

    def resume_reading(self) -> None: ...

    def shut(self, code: Any, reason: str) -> None: ...

    def drop_waiting(self) -> None: ...

    def abort(self) -> None: ...

    @property
    def seen(self) -> list[tuple[int, int]]:
        """(room, sequence) of every event it got; the STREAM wire has one frame a chunk."""
        frames = [ServerFrame.FromString(chunk) for write in self.writes for chunk in write]
        return [(frame.event.room_id, frame.event.sequence) for frame in frames]


class Here:
    """A fan-out and its peers."""

    def __init__(self) -> None:
        self.missing: list[Room] = []
        self.outbox = Outbox(Loop())  # type: ignore[arg-type]
        self.fanout = Fanout(self.outbox, EdgeMetrics(Metrics("edge")), self.missing.append)

    def peer(self, user_id: int, wire: Wire = Wire.STREAM) -> StubPeer:
        peer = StubPeer(user_id, wire, self.outbox)
        self.fanout.enter(user_id, peer)
        return peer

    def member(self, peer: StubPeer, room_id: int, head: int = 0) -> None:
        user = peer.user
        assert user is not None
        room = self.fanout.enter_room(user, room_id, head, 1)
        assert self.fanout.watch(room, peer, head)

    def bring_on(self, log: list[Event]) -> None:
        """Sends what the resumer would, from the log of the one room, to those who wait for what lies before
        its head."""
        for room in tuple(self.fanout.rooms.values()):
            for peer, replay in tuple(room.waiting.items()):
                assert peer.user is not None
                goal = replay.until or room.log.head
                for entry in log[replay.cursor : goal]:
                    if (room.room_id, entry.sequence) in visible(log, peer.user.user_id):
                        self.outbox.put(peer, entry.frame(peer.wire))
                if replay.until is not None:
                    self.fanout.stop_waiting(room, peer)
                elif replay.cursor < goal:
                    self.fanout.watch(room, peer, goal)
        self.outbox.flush()


def event(room_id: int, sequence: int, joined: tuple[int, ...] = (), left: tuple[int, ...] = ()) -> Event:
    return Event(
        room_id, sequence, RoomEvent(room_id=room_id, sequence=sequence).SerializeToString(), joined, left
    )


def test_all_of_a_tick_leaves_in_one_write() -> None:
    """Frames of one room are joined once and shared: the very same bytes for every receiver."""
    here = Here()
    ada, ben = here.peer(1, Wire.JSON), here.peer(2, Wire.JSON)
    for peer in (ada, ben):
        here.member(peer, 7)
    here.fanout.deliver([event(7, 1), event(7, 2), event(7, 3)])
    assert [len(write) for write in ada.writes] == [1]
    assert ada.writes[0][0] is ben.writes[0][0]
    assert ada.writes[0][0].count(b'"event"') == 3


def test_two_rooms_and_a_reply_in_one_write() -> None:
    here = Here()
    ada = here.peer(1, Wire.JSON)
    here.member(ada, 7)
    here.member(ada, 8)
    ada.put(b'{"id":1,"ok":{}}')
    here.fanout.deliver([event(7, 1), event(8, 1)])
    assert len(ada.writes) == 1
    assert b"".join(ada.writes[0]).count(b'"event"') == 2


def test_a_hole_is_reported_and_nothing_passes_over_it() -> None:
    here = Here()
    ada = here.peer(1)
    here.member(ada, 7)
    here.fanout.deliver([event(7, 2)])
    assert ada.seen == []
    assert [room.room_id for room in here.missing] == [7]
    here.fanout.deliver([event(7, 1)])
    assert ada.seen == [(7, 1), (7, 2)]


def test_a_room_goes_with_its_last_member() -> None:
    here = Here()
    ada, ben = here.peer(1), here.peer(2)
    here.member(ada, 7)
    here.member(ben, 7)
    here.fanout.leave(ada)
    assert 7 in here.fanout.rooms
    here.fanout.leave(ben)
    assert not here.fanout.rooms
    assert not here.fanout.users


def test_events_of_rooms_that_nobody_here_has_are_passed_over() -> None:
    here = Here()
    here.peer(1)
    here.fanout.deliver([event(7, 5), event(7, 6, joined=(2,)), event(7, 7, left=(2,))])
    assert not here.fanout.rooms


def test_a_late_hint_of_an_old_coming_begins_nothing() -> None:
    """The room ended here with its last member; what comes twice must not come to life again."""
    here = Here()
    ada = here.peer(1)
    log = [event(7, 1, joined=(1,)), event(7, 2), event(7, 3, left=(1,))]
    here.fanout.deliver(log)
    here.fanout.deliver(log)
    assert ada.seen == [(7, 1), (7, 2), (7, 3)]
    here.fanout.deliver([event(7, 4, joined=(1,))])
    assert ada.seen[-1] == (7, 4)


def test_a_newcomer_does_not_get_what_is_on_its_way_to_the_others() -> None:
    """Events of this tick that were let out before it was live are not its own."""
    here = Here()
    ada, ben = here.peer(1), here.peer(2)
    here.member(ada, 7)
    here.fanout.take(event(7, 1))
    here.member(ben, 7, head=1)
    here.fanout.finish()
    assert (ada.seen, ben.seen) == ([(7, 1)], [])


def test_who_leaves_before_the_head_is_reached_never_becomes_live() -> None:
    """A peer whose cursor is ahead of the room waits for it; its user's going ends the waiting."""
    here = Here()
    ada, ben = here.peer(1), here.peer(2)
    here.member(ada, 7)
    assert ben.user is not None
    room = here.fanout.enter_room(ben.user, 7, 2, 1)
    assert not here.fanout.watch(room, ben, 2)
    here.fanout.deliver([event(7, 1), event(7, 2, left=(2,)), event(7, 3)])
    assert (ada.seen, ben.seen) == ([(7, 1), (7, 2), (7, 3)], [])


def test_a_peer_ahead_of_the_room_is_reached_in_the_middle_of_a_mended_hole() -> None:
    """What waited behind the hole comes out in the same turn; the peer gets what follows its cursor."""
    here = Here()
    ada, ben = here.peer(1), here.peer(2)
    here.member(ada, 7)
    assert ben.user is not None
    room = here.fanout.enter_room(ben.user, 7, 2, 1)
    assert not here.fanout.watch(room, ben, 2)
    here.fanout.deliver([event(7, 2), event(7, 3), event(7, 4)])
    here.fanout.deliver([event(7, 1)])
    here.fanout.deliver([event(7, 5)])
    assert ada.seen == [(7, 1), (7, 2), (7, 3), (7, 4), (7, 5)]
    assert ben.seen == [(7, 3), (7, 4), (7, 5)]


def test_comings_and_goings_while_a_hello_is_answered() -> None:
    """The last one in the log for each room is kept, for as long as somebody waits."""
    here = Here()
    here.fanout.comings.expect(1)
    here.fanout.comings.expect(1)
    first, second = event(7, 5, joined=(1,)), event(7, 6, left=(1,))
    here.fanout.deliver([first, second, event(8, 1, joined=(2,)), first])
    assert here.fanout.comings.recall(1) == (second,)
    assert here.fanout.comings.recall(1) == (second,)
    here.fanout.comings.expect(1)
    assert here.fanout.comings.recall(1) == ()


USERS = (1, 2, 3)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """One room's log, in which users come and go between messages. User 1 is there from the start."""
    present = {1}
    log = [event(7, 1, joined=(1,))]
    for _ in range(draw(st.integers(1, 25))):
        sequence = len(log) + 1
        action = draw(st.sampled_from(["say", "say", "toggle"]))
        if action == "say":
            log.append(event(7, sequence))
            continue
        user = draw(st.sampled_from(USERS))
        if user in present:
            present.discard(user)
            log.append(event(7, sequence, left=(user,)))
        else:
            present.add(user)
            log.append(event(7, sequence, joined=(user,)))
    return log


def visible(log: list[Event], user_id: int) -> list[tuple[int, int]]:
    """What I5 lets a user see: from each coming to each going, both included."""
    seen, inside = [], False
    for entry in log:
        inside = inside or user_id in entry.joined
        if inside:
            seen.append((7, entry.sequence))
        inside = inside and user_id not in entry.left
    return seen


def _moves(entry: Event) -> bool:
    """Comings and goings keep their order on the link; a room that nobody has here begins with one."""
    return bool(entry.joined or entry.left)


@settings(max_examples=300)
@given(histories(), st.integers(0, 2**32), st.floats(0, 0.6))
def test_everybody_sees_what_they_may_and_nothing_else(log: list[Event], seed: int, loss: float) -> None:
    """Hints are lost, doubled and swapped nearby; then message fills what is missing, as the mender would.
    Nobody answers here when chat is asked for a list: who came back then is in no room."""
    here = Here()
    asked: list[User] = []
    here.fanout.comings.on_late = asked.append
    peers = {user: [here.peer(user), here.peer(user)] for user in USERS}
    here.member(peers[1][0], 7)
    here.member(peers[1][1], 7)
    chance = random.Random(seed)
    arrivals = [entry for entry in log for _ in range(chance.choice((1, 1, 2))) if chance.random() >= loss]
    arrivals.sort(key=lambda entry: entry.sequence + (0 if _moves(entry) else chance.uniform(-3, 3)))
    for start in range(0, len(arrivals), 4):
        here.fanout.deliver(arrivals[start : start + 4])
        here.bring_on(log)
        for twins in peers.values():
            assert twins[0].seen == twins[1].seen
    for user in USERS:
        got = peers[user][0].seen
        assert [item for item in got if item in visible(log, user)] == got
        assert got == sorted(set(got))
    room = here.fanout.rooms.get(7)
    if room is not None:
        here.fanout.deliver(log[room.log.head :])
    here.bring_on(log)
    if loss == 0.0 and not asked:
        assert peers[1][0].seen == visible(log, 1)
