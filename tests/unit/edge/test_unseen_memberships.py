"""Memberships that began and ended while hints were lost are shown to who was here, and no more (I4, I5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from polychat.internal.log.v1.record_pb2 import EventRecord

from edge.room import User
from tests.support.edge_log import message_event
from tests.support.edge_small import SmallEdge, SmallPeer, settle, small_edge


@pytest.fixture
async def edge() -> AsyncIterator[SmallEdge]:
    """User 1 is in room 7, with no connection here; user 2 is not."""
    async with small_edge() as made:
        made.store.append(7, message_event(1, ""), joined=(1,))
        yield made


def come_and_go(edge: SmallEdge, user: int = 2) -> list[EventRecord]:
    """A user comes, something is said, and they go; then something is said that is not theirs."""
    changes: tuple[dict[str, tuple[int]], ...] = ({"joined": (user,)}, {}, {"left": (user,)}, {})
    return [edge.store.append(7, message_event(1, "hi"), **change) for change in changes]


async def shown(peer: SmallPeer) -> list[int]:
    """All that it was shown, judged; it is owed nothing more."""
    await settle()
    await peer.take(1000)
    assert peer.told.owed() == []
    return [sequence for _, sequence in peer.told.events]


@pytest.mark.parametrize("served", [False, True])
async def test_a_list_tells_of_it(edge: SmallEdge, *, served: bool) -> None:
    """Whether somebody else here has the room or not; and it is shown once, however often it is told."""
    if served:
        edge.connect(1)
    peer = edge.connect(2)
    come_and_go(edge)
    for _ in range(3):
        edge.attach_anew()
        await settle()
    assert await shown(peer) == [2, 3, 4]
    if served:
        assert edge.fanout.rooms[7].users == 1
    else:
        assert edge.fanout.rooms == {}


async def test_two_of_them_and_a_return(edge: SmallEdge) -> None:
    """In order, and live then."""
    peer = edge.connect(2)
    come_and_go(edge)
    come_and_go(edge)
    edge.store.append(7, message_event(2, ""), joined=(2,))
    edge.attach_anew()
    await settle()
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    assert await shown(peer) == [2, 3, 4, 6, 7, 8, 10, 11]
    assert peer.wire in edge.fanout.rooms[7].live


async def test_a_return_that_is_heard_asks_first(edge: SmallEdge) -> None:
    """It left where all saw it, and its room ended here with it: what was then may have been theirs."""
    peer = edge.connect(2)
    edge.deliver(*come_and_go(edge)[:3])
    come_and_go(edge)
    edge.deliver(edge.store.append(7, message_event(2, ""), joined=(2,)))
    await settle()
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    assert await shown(peer) == [2, 3, 4, 6, 7, 8, 10, 11]


async def test_also_when_somebody_else_began_the_room_anew(edge: SmallEdge) -> None:
    peer = edge.connect(2)
    edge.deliver(*come_and_go(edge)[:3])
    come_and_go(edge)
    other = edge.connect(1)
    edge.deliver(edge.store.append(7, message_event(2, ""), joined=(2,)))
    await settle()
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    assert await shown(peer) == [2, 3, 4, 6, 7, 8, 10, 11]
    assert await shown(other) == [10, 11]


async def test_a_leaving_that_is_heard_asks(edge: SmallEdge) -> None:
    """The coming was lost, and the room begins here between the two."""
    peer = edge.connect(2)
    edge.store.append(7, message_event(1, ""), joined=(2,))
    edge.connect(1)
    edge.deliver(edge.store.append(7, message_event(2, ""), left=(2,)))
    assert await shown(peer) == [2, 3]


async def test_who_comes_later_is_not_shown_it(edge: SmallEdge) -> None:
    """A second connection of the user shows that it was missed; its own welcome lacks the room."""
    first = edge.connect(2)
    come_and_go(edge)
    second = edge.connect(2)
    assert await shown(first) == [2, 3, 4]
    assert await shown(second) == []


async def test_one_that_lags_gets_it_when_it_has_drained(edge: SmallEdge) -> None:
    edge.store.append(8, message_event(2, ""), joined=(2,))
    peer = edge.connect(2)
    while peer.wire.moved is None:
        edge.deliver(edge.store.append(8, message_event(2, "x" * 400)))
    come_and_go(edge)
    edge.attach_anew()
    for _ in range(20):
        await settle()
        await peer.take(1000)
    assert peer.told.owed() == []
    assert [sequence for room, sequence in peer.told.events if room == 7] == [2, 3, 4]


async def test_a_list_from_before_the_room_began_here_is_not_gone_by(edge: SmallEdge) -> None:
    """The leaving lies between the two, so it came by nowhere; message is away."""
    peer = edge.connect(2)
    edge.store.append(7, message_event(1, ""), joined=(2,))
    old = edge.opened(2)
    edge.store.append(7, message_event(1, ""), left=(2,))
    edge.connect(1)
    edge.reader.away = True
    edge.reopen(peer, old)
    edge.deliver(edge.store.append(7, message_event(1, "secret")))
    assert edge.fanout.rooms[7].users == 1
    edge.reader.away = False
    assert await shown(peer) == [2, 3]


async def test_one_that_ended_while_the_list_was_read_does_not_begin(edge: SmallEdge) -> None:
    """It is among the rooms, which were read first, and among those that are over."""
    peer = edge.connect(2)
    edge.store.append(7, message_event(1, ""), joined=(2,))
    opened = edge.opened(2)
    edge.store.append(7, message_event(1, ""), left=(2,))
    opened.ended.extend(edge.opened(2).ended)
    edge.connect(1)
    edge.reopen(peer, opened)
    assert edge.fanout.rooms[7].users == 1
    assert await shown(peer) == [2, 3]


async def test_an_old_hint_of_a_coming_during_a_hello_shows_nothing_twice(edge: SmallEdge) -> None:
    """A second connection waits for its rooms; the user has left the room since."""
    first = edge.connect(2)
    coming = edge.store.append(7, message_event(2, ""), joined=(2,))
    edge.deliver(coming, edge.store.append(7, message_event(2, ""), left=(2,)))
    edge.rooms.expect(2)
    edge.deliver(coming)
    edge.welcome(edge.opened(2))
    assert await shown(first) == [2, 3]


async def test_what_a_list_has_told_is_not_asked_for(edge: SmallEdge) -> None:
    """The room ended here before, with a leaving that was shown."""
    peer = edge.connect(2)
    edge.deliver(*come_and_go(edge)[:3])
    come_and_go(edge)
    asked: list[User] = []
    edge.fanout.comings.on_late = asked.append
    edge.attach_anew()
    assert await shown(peer) == [2, 3, 4, 6, 7, 8]
    assert asked == []


async def test_a_return_after_one_that_was_not_believed_asks_as_well(edge: SmallEdge) -> None:
    """The answer to the first question is on the way, and a list from before it comes."""
    peer = edge.connect(2)
    edge.deliver(*come_and_go(edge)[:3])
    edge.store.append(7, message_event(2, ""), joined=(2,))
    edge.connect(1)
    asked: list[User] = []
    edge.fanout.comings.on_late = asked.append
    edge.deliver(edge.store.append(7, message_event(2, ""), left=(2,)))
    old = edge.opened(2)
    edge.deliver(edge.store.append(7, message_event(2, ""), joined=(2,)))
    edge.reopen(peer, old)
    edge.deliver(edge.store.append(7, message_event(2, ""), left=(2,)))
    edge.deliver(edge.store.append(7, message_event(2, ""), joined=(2,)))
    assert len(asked) == 4
    edge.attach_anew()
    await settle()
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    assert await shown(peer) == [2, 3, 4, 6, 7, 8, 9, 10, 11]


async def test_a_client_is_not_shown_again_what_its_cursor_says(edge: SmallEdge) -> None:
    """Its user left while it said hello, so its welcome lacks the room."""
    edge.store.append(7, message_event(2, ""), joined=(2,))
    edge.rooms.expect(2)
    old = edge.opened(2)
    edge.deliver(edge.store.append(7, message_event(2, ""), left=(2,)))
    peer = edge.welcome(old, {7: 2})
    edge.attach_anew()
    assert await shown(peer) == [3]


async def test_a_return_during_a_hello_asks_as_well(edge: SmallEdge) -> None:
    """A second connection waits for its rooms; the first one missed what was between."""
    first = edge.connect(2)
    edge.deliver(*come_and_go(edge)[:3])
    come_and_go(edge)
    edge.connect(1)
    edge.rooms.expect(2)
    old = edge.opened(2)
    edge.fanout.comings.on_late = lambda _user: None
    edge.deliver(edge.store.append(7, message_event(2, ""), joined=(2,)))
    del old.ended[1:]
    second = edge.welcome(old)
    edge.attach_anew()
    assert await shown(first) == [2, 3, 4, 6, 7, 8, 10]
    assert await shown(second) == [6, 7, 8, 10]


async def test_what_was_asked_by_a_connection_that_ends_is_asked_by_another(edge: SmallEdge) -> None:
    """The user's other one needs the answer as well."""
    first, second = edge.connect(2), edge.connect(2)
    edge.deliver(*come_and_go(edge)[:3])
    come_and_go(edge)
    edge.connect(1)
    assert first.wire.user is not None
    assert first.wire.user.asker is first.wire
    edge.leave(first)
    assert await shown(second) == [2, 3, 4, 6, 7, 8]


async def test_one_question_is_out_at_a_time(edge: SmallEdge) -> None:
    """Doubts that come up meanwhile are one question more, after the answer."""
    peer = edge.connect(2)
    user = edge.fanout.users[2]
    asked: list[object] = []
    edge.fanout.comings.on_late = lambda user: asked.append(user.ask())
    for _ in range(3):
        edge.fanout.comings.on_late(user)
    assert asked == [peer.wire, None, None]
    edge.attach_anew()
    assert asked[3:] == [peer.wire]
    edge.attach_anew()
    assert asked[4:] == []
