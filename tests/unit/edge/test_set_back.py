"""A log that ends before what was let out (a restored database): everybody there begins anew, and goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest
from polychat.edge.v1.client_frame_pb2 import Hello
from polychat.internal.link.v1.link_service_pb2 import ConnectionOpened

from tests.support.edge_log import message_event
from tests.support.edge_small import SmallEdge, SmallPeer, settle, small_edge


@pytest.fixture
async def edge() -> AsyncIterator[SmallEdge]:
    """Users 1 and 2 are in room 7, and six things happened."""
    async with small_edge() as made:
        for user in (1, 2):
            made.store.append(7, message_event(user, ""), joined=(user,))
        yield made


def say(edge: SmallEdge, text: str = "hi") -> None:
    """A message is committed and heard of."""
    edge.deliver(edge.store.append(7, message_event(1, text)))


def restore(edge: SmallEdge, head: int) -> None:
    """The log is what it was at this head."""
    del edge.store.rooms[7][head:]
    for intervals in edge.store.intervals.values():
        intervals[:] = [interval for interval in intervals if interval[0] <= head]


async def everything(*peers: SmallPeer) -> None:
    """They take all there is."""
    await settle()
    for peer in peers:
        await peer.take(1000)


async def test_live_peers_are_told_to_reset_and_go_on(edge: SmallEdge) -> None:
    """Noticed when the link stands again; what comes next has a number that they had seen before."""
    ada, ben = edge.connect(1), edge.connect(2)
    for _ in range(4):
        say(edge)
    await everything(ada, ben)
    restore(edge, 3)
    edge.attach_anew()
    await everything(ada, ben)
    assert [(peer.told.resets, peer.told.cursors[7]) for peer in (ada, ben)] == [(1, 3), (1, 3)]
    say(edge, "new")
    await everything(ada, ben)
    assert [peer.told.owed() for peer in (ada, ben)] == [[], []]
    assert ada.told.cursors[7] == 4


async def test_a_lagging_peer_is_told_as_well(edge: SmallEdge) -> None:
    ada = edge.connect(1)
    while ada.wire.moved is None:
        say(edge, "x" * 400)
    say(edge)
    restore(edge, 2)
    edge.attach_anew()
    await settle()
    say(edge, "new")
    await everything(ada)
    await everything(ada)
    assert ada.told.resets == 1
    assert (ada.told.owed(), ada.told.cursors[7]) == ([], 3)


async def test_a_membership_that_never_was_ends(edge: SmallEdge) -> None:
    """Who came after the point of the backup is told to forget the room, and hears no more of it (I5)."""
    edge.deliver(edge.store.append(7, message_event(3, ""), joined=(3,)))
    ada, cai = edge.connect(1), edge.connect(3)
    restore(edge, 2)
    edge.attach_anew()
    await everything(ada, cai)
    say(edge, "not for 3")
    await everything(ada, cai)
    assert (ada.told.cursors[7], cai.told.cursors[7]) == (3, 2)


async def test_a_head_behind_by_a_hint_is_not_one_that_was_set_back(edge: SmallEdge) -> None:
    """Chat read the head a moment before our last event: the log is asked, and has it."""
    ada = edge.connect(1)
    say(edge)
    opened = ConnectionOpened(user_id=1, rooms=edge.store.rooms_of(1))
    opened.rooms[0].head_sequence -= 1
    edge.rooms.compare(ada.wire, opened)
    await everything(ada)
    assert (ada.told.resets, ada.told.cursors[7]) == (0, 3)


async def test_who_waits_past_a_head_that_is_not_there_is_told(edge: SmallEdge) -> None:
    """Chat named a head that the log does not have: when that is given up, nobody waits for it any more."""
    ada = edge.connect(1)
    with patch("edge.holes.MAX_ATTEMPTS", 2), patch("edge.holes.PAUSE_SECONDS", 0.0):
        ben = SmallPeer(edge, 2, 9)
        edge.peers.append(ben)
        opened = ConnectionOpened(user_id=2, rooms=edge.store.rooms_of(2))
        opened.rooms[0].head_sequence = 9
        edge.rooms.welcome(ben.wire, 1, Hello(), opened, ())
        await everything(ada, ben)
    assert (ada.told.resets, ben.told.resets) == (0, 1)
    say(edge)
    await everything(ada, ben)
    assert (ada.told.cursors[7], ben.told.cursors[7]) == (3, 3)
