"""Lists of rooms that were read before a leaving and are told after it bring nobody back (I4, I5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.edge_log import message_event
from tests.support.edge_small import SmallEdge, SmallPeer, settle, small_edge


@pytest.fixture
async def edge() -> AsyncIterator[SmallEdge]:
    """Users 1 and 2 are in room 7, and 2 has a connection here."""
    async with small_edge() as made:
        for user in (1, 2):
            made.store.append(7, message_event(user, ""), joined=(user,))
        made.connect(2)
        yield made


def leave(edge: SmallEdge) -> None:
    """User 1 does, and the hint of it comes."""
    edge.deliver(edge.store.append(7, message_event(1, ""), left=(1,)))


async def shown(edge: SmallEdge, peer: SmallPeer) -> list[int]:
    """What the peer was shown when something was said after all that; nothing of others, nothing twice."""
    for _ in range(2):
        await settle()
        await peer.take(1000)
        edge.deliver(edge.store.append(7, message_event(2, "secret")))
    await settle()
    await peer.take(1000)
    assert peer.told.owed() == []
    return [sequence for _, sequence in peer.told.events]


async def test_an_open_connection_stays_out(edge: SmallEdge) -> None:
    """A new link: chat read the list, the leaving overtook it."""
    peer = edge.connect(1)
    old = edge.opened(1)
    leave(edge)
    edge.reopen(peer, old)
    assert await shown(edge, peer) == [3]
    assert edge.fanout.rooms[7].users == 1


async def test_a_leaving_before_a_return_keeps_nobody_out(edge: SmallEdge) -> None:
    peer = edge.connect(1)
    leave(edge)
    edge.store.append(7, message_event(1, ""), joined=(1,))
    edge.deliver(edge.store.append(7, message_event(2, "hi")))
    edge.reopen(peer, edge.opened(1))
    assert await shown(edge, peer) == [3, 4, 5, 6, 7]


async def test_a_leaving_that_a_restore_took_back_keeps_nobody_out(edge: SmallEdge) -> None:
    """The log goes on from before it."""
    peer = edge.connect(1)
    leave(edge)
    del edge.store.rooms[7][2:]
    edge.store.intervals[7, 1][-1][1] = 0
    edge.fanout.set_back(edge.fanout.rooms[7], 2)
    edge.reopen(peer, edge.opened(1))
    await settle()
    edge.deliver(edge.store.append(7, message_event(2, "new")))
    assert peer.wire in edge.fanout.rooms[7].live


@pytest.mark.parametrize("ring", [False, True])
async def test_a_leaving_met_in_the_log_ends_what_an_old_list_began(edge: SmallEdge, *, ring: bool) -> None:
    """No hint of it came: it was lost before this room began here, or came while the user was not."""
    coming = edge.store.append(8, message_event(1, ""), joined=(1, 2))
    old = edge.opened(1)
    going = edge.store.append(8, message_event(1, ""), left=(1,))
    said = edge.store.append(8, message_event(2, "secret"))
    if ring:
        edge.deliver(coming, going, said)
    else:
        edge.connect(2)
    edge.rooms.expect(1)
    now = edge.opened(1)
    del now.ended[:]  # it is long ago
    peer = edge.welcome(now)
    peer.told.before = {}
    edge.reopen(peer, old)
    await settle()
    edge.deliver(edge.store.append(8, message_event(2, "secret")))
    await settle()
    await peer.take(1000)
    assert [event for event in peer.told.events if event[0] == 8] == [(8, 1), (8, 2)]
    assert edge.fanout.rooms[8].users == 1


async def test_a_coming_from_before_a_new_link_begins_nothing(edge: SmallEdge) -> None:
    """The hello waited; the leaving was lost with the link; the new list lacks the room, and is right."""
    leave(edge)
    edge.rooms.expect(1)
    edge.deliver(edge.store.append(7, message_event(1, ""), joined=(1,)))
    edge.store.append(7, message_event(1, ""), left=(1,))
    edge.rooms.ask_anew()
    edge.connect(2)
    assert await shown(edge, edge.welcome(edge.opened(1))) == []


async def test_the_latest_leaving_that_is_known_of_counts(edge: SmallEdge) -> None:
    """The list tells of one, and a later one was heard of while it was read."""
    leave(edge)
    edge.deliver(edge.store.append(7, message_event(1, ""), joined=(1,)))
    edge.rooms.expect(1)
    old = edge.opened(1)
    leave(edge)
    assert await shown(edge, edge.welcome(old)) == []
    assert edge.fanout.rooms[7].users == 1


async def test_a_leaving_that_only_the_list_tells_of_is_looked_for(edge: SmallEdge) -> None:
    """The room is also among those that the user is in, which were read before."""
    peer = edge.connect(1)
    opened = edge.opened(1)
    edge.store.append(7, message_event(1, ""), left=(1,))
    opened.ended.extend(edge.opened(1).ended)
    edge.reopen(peer, opened)
    await settle()
    assert edge.fanout.rooms[7].users == 1
    assert await shown(edge, peer) == [3]


async def test_a_room_that_a_welcome_lacked_is_brought_by_a_later_list(edge: SmallEdge) -> None:
    """The edge had the coming from the log, and chat had not heard of it when it read the first list."""
    first = edge.connect(1)
    leave(edge)
    old = edge.opened(1)
    edge.rooms.expect(1)
    edge.store.append(7, message_event(1, ""), joined=(1,))
    edge.heads()
    await settle()
    edge.rooms.ask_anew()
    second = edge.welcome(old)
    assert await shown(edge, second) == [4, 5, 6]
    assert await shown(edge, first) == [3, 4, 5, 6, 7, 8]


async def test_a_hello_waits_for_a_list_from_after_its_rooms_began_here(edge: SmallEdge) -> None:
    """What lies between the two came by nowhere: a leaving perhaps."""
    edge.store.append(8, message_event(1, ""), joined=(1, 2))
    old = edge.opened(1)
    edge.store.append(8, message_event(1, ""), left=(1,))
    assert not edge.rooms.is_old(old)
    edge.connect(2)
    assert edge.rooms.is_old(old)
    assert not edge.rooms.is_old(edge.opened(1))
