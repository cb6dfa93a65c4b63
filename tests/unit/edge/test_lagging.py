"""Slow readers (I4, I5, I7): whatever they do, each is told everything it may see, once, in order."""

from __future__ import annotations

import asyncio

from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from polychat.internal.link.v1.link_service_pb2 import ConnectionOpened

from tests.support.edge_log import message_event
from tests.support.edge_small import (
    PORTION_BYTES,
    UNSENT_BYTES,
    SmallEdge,
    SmallPeer,
    settle,
    shrunk,
    small_edge,
)

ROOMS = (7, 8, 9)
USERS = (1, 2, 3)
TEXT = "x" * 150
EVENT_BYTES = 260
"""One such message as a frame, at most."""
MOST_BYTES = UNSENT_BYTES + PORTION_BYTES + 4 * EVENT_BYTES


class Story:
    """Things that happen, in any order, to three users in three rooms."""

    def __init__(self, edge: SmallEdge) -> None:
        self.edge = edge
        self.linked = True
        self.most = 0
        self.read: dict[SmallPeer, ConnectionOpened] = {}
        """Lists of rooms that chat has read and not told yet."""

    def say(self, room: int) -> None:
        """A message is committed; its hint is lost while there is no link."""
        self._publish(self.edge.store.append(room, message_event(1, TEXT)))

    def toggle(self, room: int, user: int) -> None:
        """Who is in the room leaves it, who is not comes."""
        here = self.edge.store.joined(room, user)
        moves = {"left": (user,)} if here else {"joined": (user,)}
        if not here and self.linked:
            self._read_before(user)
        self._publish(self.edge.store.append(room, message_event(user, TEXT), **moves))
        for peer in self.read:  # chat has heard of it as well
            if self.linked and peer.user_id == user:
                self.read[peer] = self.edge.opened(user)

    def _read_before(self, user: int) -> None:
        """A first membership that was missed is told before its user is heard to come again
        (docs/reliability.md)."""
        shown = self.edge.fanout.users[user].shown if user in self.edge.fanout.users else {}
        for peer in self.edge.peers:
            if peer.user_id == user and any(room not in shown for room, _ in peer.told.owed()):
                self.edge.reopen(peer, self.edge.opened(user))

    def toggle_unheard(self, room: int, user: int) -> None:
        """The same, and the hint of it is lost."""
        here = self.edge.store.joined(room, user)
        moves = {"left": (user,)} if here else {"joined": (user,)}
        self.edge.store.append(room, message_event(user, TEXT), **moves)

    def tell(self) -> None:
        """What chat has read is told now."""
        read, self.read = self.read, {}
        for peer, opened in read.items():
            if peer in self.edge.peers:
                self.edge.reopen(peer, opened)

    def _publish(self, record: object) -> None:
        if self.linked:
            self.edge.deliver(record)  # type: ignore[arg-type]

    async def step(self, action: tuple[str, int, int, int]) -> None:
        """One thing happens."""
        kind, room, who, count = action
        peers = self.edge.peers
        if kind == "say":
            for _ in range(count):
                self.say(ROOMS[room])
        elif kind == "toggle":
            self.toggle(ROOMS[room], USERS[who])
        elif kind == "take":
            await peers[(who + room) % len(peers)].take(count)
        elif kind == "link":
            self.linked = not self.linked
            self.read.clear()
            if self.linked:
                self.edge.attach_anew()
        elif kind == "message":
            self.edge.reader.away = not self.edge.reader.away
        elif kind == "connect" and self.linked and len(peers) < 8:
            self.edge.connect(USERS[who])
        elif kind == "reconnect":
            self.reconnect(peers[(who + room) % len(peers)])
        elif kind == "unheard":
            self.toggle_unheard(ROOMS[room], USERS[who])
        elif kind == "read" and self.linked:
            peer = peers[(who + room) % len(peers)]
            self.read[peer] = self.edge.opened(peer.user_id)
        elif kind == "tell":
            self.tell()
        elif kind == "heads" and self.linked:
            self.edge.heads()
        elif kind == "settle":
            await settle()
        self.most = max([self.most, *(peer.wire.unsent for peer in peers)])

    def reconnect(self, old: SmallPeer) -> None:
        """A connection is lost; its client comes back with what it had."""
        if self.linked:
            self.edge.leave(old)
            self.edge.connect(old.user_id, dict(old.told.cursors))

    async def end(self) -> None:
        """Everything works again, everybody catches up, and gets what happens then."""
        self.edge.reader.away = False
        if not self.linked:
            self.linked = True
        self.edge.attach_anew()  # chat reads the lists again after lost hints, and tells what they say
        self.edge.heads()
        await self.drain()
        for room in ROOMS:
            self.say(room)
        await self.drain()

    async def drain(self) -> None:
        """Everybody takes everything."""
        for _ in range(400):
            await settle()
            for peer in self.edge.peers:
                await peer.take(1000)
            if not any(peer.told.owed() or peer.wire.unsent for peer in self.edge.peers):
                return


ACTIONS = st.tuples(
    st.sampled_from(
        ["say"] * 5
        + ["toggle"] * 2
        + ["take"] * 4
        + ["settle"] * 2
        + ["link", "message", "connect", "reconnect", "unheard", "read", "tell", "heads"]
    ),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(1, 14),
)


LINK = ("link", 0, 0, 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(ACTIONS, min_size=5, max_size=60))
@example(
    [("link", 0, 0, 1), ("say", 1, 0, 1), ("toggle", 1, 1, 1), ("link", 0, 0, 1), ("reconnect", 0, 1, 1)]
)
@example(
    [("say", 0, 0, 1), ("link", 0, 0, 1), ("toggle", 1, 1, 1), ("link", 0, 0, 1), ("reconnect", 0, 0, 1)]
)
@example([LINK, ("toggle", 0, 2, 1), ("toggle", 0, 2, 1), LINK, ("connect", 0, 2, 1)])
@example(
    [("read", 0, 1, 1), ("unheard", 0, 1, 1), ("heads", 0, 0, 1), ("settle", 0, 0, 1), ("tell", 0, 0, 1)]
)
def test_every_view_is_complete_and_exact(actions: list[tuple[str, int, int, int]]) -> None:
    """Peers pause and drain, come and go, the link and message go away and return."""

    async def play() -> None:
        async with small_edge() as edge:
            story = Story(edge)
            for room in ROOMS:
                story.toggle(room, 1)
            story.toggle(7, 2)
            for user in USERS:
                edge.connect(user)
            for action in actions:
                await story.step(action)
            event(f"lagging: {sum(peer.wire.moved is not None for peer in edge.peers)}")
            await story.end()
            event(f"gaps: {sum(peer.told.gaps for peer in edge.peers)}")
            assert {peer.user_id: peer.told.owed() for peer in edge.peers if peer.told.owed()} == {}
            assert not any(peer.wire.moved or peer.told.resets for peer in edge.peers)
            assert story.most <= MOST_BYTES

    with shrunk():
        asyncio.run(play())


async def test_much_at_once_is_handed_on_in_portions() -> None:
    """A mended hole lets out a thousand events in one turn: a slow peer has passed its bound long before."""
    with shrunk():
        async with small_edge() as edge:
            story = Story(edge)
            story.toggle(7, 1)
            peer = edge.connect(1)
            records = [edge.store.append(7, message_event(1, TEXT)) for _ in range(100)]
            edge.deliver(*records)
            assert UNSENT_BYTES < peer.wire.unsent <= MOST_BYTES
            await story.drain()
            assert peer.told.owed() == []


async def test_each_drain_is_owed_so_many_events() -> None:
    """What was missed while it lagged is replayed; past the bound one gap a room, and then it goes on."""
    with shrunk():
        async with small_edge() as edge:
            story = Story(edge)
            story.toggle(7, 1)
            peer = edge.connect(1)
            for missed, gaps in ((12, 0), (13, 1)):
                before = peer.told.gaps
                while peer.wire.moved is None:
                    story.say(7)
                for _ in range(missed):
                    story.say(7)
                assert peer.wire.moved is not None
                await story.drain()
                assert (peer.told.gaps - before, peer.told.owed()) == (gaps, [])
