"""Cursors of a `hello` for rooms that its user has left: nothing up to them is shown again (I3, I4)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from polychat.internal.log.v1.record_pb2 import EventRecord

from tests.support.edge_log import message_event
from tests.support.edge_small import SmallEdge, SmallPeer, settle, small_edge


@pytest.fixture
async def edge() -> AsyncIterator[SmallEdge]:
    """User 1 is in room 7 and has a connection here; user 2 is not."""
    async with small_edge() as made:
        made.store.append(7, message_event(1, ""), joined=(1,))
        made.connect(1)
        yield made


def come_and_go(edge: SmallEdge) -> list[EventRecord]:
    """User 2 does, while there is no link: 2, 3, 4."""
    changes: tuple[dict[str, tuple[int]], ...] = ({"joined": (2,)}, {}, {"left": (2,)})
    return [edge.store.append(7, message_event(2, "hi"), **change) for change in changes]


async def seen(edge: SmallEdge, peer: SmallPeer) -> list[int]:
    """What it is shown of the room when the link stands again and all is mended."""
    before = len(peer.told.events)
    edge.heads()
    await settle()
    await peer.take(1000)
    assert peer.told.owed() == []
    return [sequence for _, sequence in peer.told.events[before:]]


@pytest.mark.parametrize("cursor", [2, 3, 4])
async def test_a_membership_that_ended_before_is_not_gone_on_with(edge: SmallEdge, cursor: int) -> None:
    """The welcome lacks the room, which says it; also when this edge has yet to come to the leaving."""
    come_and_go(edge)
    assert await seen(edge, edge.connect(2, {7: cursor})) == []


async def test_two_memberships_before_the_cursor(edge: SmallEdge) -> None:
    for _ in range(2):
        come_and_go(edge)
    assert await seen(edge, edge.connect(2, {7: 7})) == []


async def test_hints_that_come_late_one_by_one(edge: SmallEdge) -> None:
    """The user left on another edge, and was faster than the hints of it."""
    late = come_and_go(edge)
    peer = edge.connect(2, {7: 4})
    for record in late:
        edge.deliver(record)
        await settle()
    assert await seen(edge, peer) == []


async def test_a_membership_after_the_cursor_is_shown_in_full(edge: SmallEdge) -> None:
    come_and_go(edge)
    peer = edge.connect(2, {7: 4})
    assert await seen(edge, peer) == []
    edge.deliver(edge.store.append(7, message_event(2, ""), joined=(2,)))
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    assert await seen(edge, peer) == [5, 6]


async def test_the_users_other_connections_are_not_held(edge: SmallEdge) -> None:
    other = edge.connect(2)
    come_and_go(edge)
    assert await seen(edge, edge.connect(2, {7: 4})) == []
    assert await seen(edge, other) == [2, 3, 4]


async def test_a_cursor_that_the_log_does_not_reach_is_void(edge: SmallEdge) -> None:
    """Its room went on from a restored backup. The client is told to begin anew, and gets what follows."""
    peer = edge.connect(2, {7: 9})
    edge.deliver(edge.store.append(7, message_event(2, ""), joined=(2,)))
    await settle()
    await peer.take(1000)
    assert (peer.told.resets, peer.told.cursors[7]) == (1, 2)
    edge.deliver(edge.store.append(7, message_event(1, "new")))
    assert await seen(edge, peer) == [3]
