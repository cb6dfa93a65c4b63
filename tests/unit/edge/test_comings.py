"""Comings that are heard when the room is past them: it began here later, for the sake of others (I4, I5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.edge_log import message_event
from tests.support.edge_small import SmallEdge, settle, small_edge


@pytest.fixture
async def edge() -> AsyncIterator[SmallEdge]:
    """User 1 is in room 7; user 2 is not and has a connection here."""
    async with small_edge() as made:
        made.store.append(7, message_event(1, ""), joined=(1,))
        made.connect(2)
        yield made


async def end(edge: SmallEdge) -> None:
    """Something is said, and everybody takes all there is."""
    await settle()
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    await settle()
    for peer in edge.peers:
        await peer.take(1000)
        assert peer.told.owed() == []


async def test_a_welcome_that_overtakes_a_coming_leaves_nobody_out(edge: SmallEdge) -> None:
    """The room begins at the head that the welcome of another user tells."""
    coming = edge.store.append(7, message_event(2, ""), joined=(2,))
    edge.store.append(7, message_event(1, "hi"))
    edge.connect(1)
    edge.deliver(coming)
    await end(edge)
    assert edge.peers[0].told.cursors[7] == 4


async def test_nor_when_the_room_has_ended_here_meanwhile(edge: SmallEdge) -> None:
    coming = edge.store.append(7, message_event(2, ""), joined=(2,))
    edge.leave(edge.connect(1))
    edge.deliver(coming)
    await end(edge)
    assert edge.peers[0].told.cursors[7] == 3


async def test_who_has_left_again_gets_nothing_of_others(edge: SmallEdge) -> None:
    """The hint of the leaving is lost, and nothing here is known to be missing."""
    coming = edge.store.append(7, message_event(2, ""), joined=(2,))
    edge.store.append(7, message_event(2, ""), left=(2,))
    edge.connect(1)
    edge.deliver(coming)
    await settle()
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    await edge.peers[0].take(1000)
    assert edge.peers[0].told.events == [(7, 2), (7, 3)]
    assert edge.fanout.rooms[7].users == 1


async def test_a_coming_heard_twice_asks_for_nothing(edge: SmallEdge) -> None:
    asked: list[int] = []
    edge.fanout.comings.on_late = lambda user: asked.append(user.user_id)
    edge.connect(1)
    coming = edge.store.append(7, message_event(2, ""), joined=(2,))
    edge.deliver(coming, coming)
    assert asked == []


async def gone(edge: SmallEdge) -> None:
    """User 2 was in the room and left; the hub of chat has missed it, and still sends the room here."""
    edge.deliver(edge.store.append(7, message_event(2, ""), joined=(2,)))
    edge.deliver(edge.store.append(7, message_event(2, ""), left=(2,)))
    await settle()
    assert 7 not in edge.fanout.rooms


@pytest.mark.parametrize("told_by", ["an event", "a head", "another's coming", "another's connection"])
async def test_who_came_back_unseen_is_asked_for(edge: SmallEdge, told_by: str) -> None:
    """The hint of the coming is lost, and to chat, which never heard of the leaving, nobody is new."""
    await gone(edge)
    edge.store.append(7, message_event(2, ""), joined=(2,))
    if told_by == "an event":
        edge.deliver(edge.store.append(7, message_event(1, "hi")))
    elif told_by == "a head":
        edge.heads()
    elif told_by == "another's coming":
        edge.connect(3)
        edge.deliver(edge.store.append(7, message_event(3, ""), joined=(3,)))
    else:
        edge.connect(1)
    await end(edge)
    assert edge.peers[0].told.cursors[7] == edge.store.head(7)


async def test_it_is_asked_once_for_what_was_not_seen_and_never_for_what_was(edge: SmallEdge) -> None:
    await gone(edge)
    asked: list[int] = []
    edge.fanout.comings.on_late = lambda user: asked.append(user.user_id)
    for _ in range(3):
        edge.deliver(edge.store.append(7, message_event(1, "in turn")))
    edge.heads()
    assert asked == []
    edge.store.append(7, message_event(1, "lost"))
    late = edge.store.append(7, message_event(1, "lost at first"))
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    edge.deliver(late)
    edge.heads()
    assert asked == [2]
    edge.store.append(7, message_event(1, "lost"))
    edge.heads()
    assert asked == [2, 2]
