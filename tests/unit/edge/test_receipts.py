"""Receipts that overtook each other, or what was read: none is shown that is lower than one before it (I6),
and none before the room has come to it, since who is shown it may have left until there (I5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest
from polychat.internal.link.v1.link_service_pb2 import AttachResponse, ConnectionOpened
from polychat.internal.log.v1.record_pb2 import RoomSignal

from tests.support.edge_log import message_event
from tests.support.edge_small import SmallEdge, SmallPeer, settle, small_edge


@pytest.fixture
async def edge() -> AsyncIterator[SmallEdge]:
    """Users 1 and 2 are in rooms 7 and 8, where four things happened."""
    async with small_edge() as made:
        for room in (7, 8):
            for user in (1, 2):
                made.store.append(room, message_event(user, ""), joined=(user,))
            for _ in range(2):
                made.store.append(room, message_event(1, "hi"))
        yield made


def read(edge: SmallEdge, user: int, sequence: int, room: int = 7) -> None:
    """The hint that a user has read up to here."""
    signal = RoomSignal(room_id=room, user_id=user, read_sequence=sequence)
    edge.rooms.deliver(AttachResponse(signals=[signal]))


async def shown(peer: SmallPeer) -> list[tuple[int, int, int]]:
    """The receipts that a peer was shown since it was asked last."""
    await settle()
    await peer.take(1000)
    found, peer.told.receipts = peer.told.receipts, []
    return found


async def test_a_hint_that_was_overtaken_is_not_shown(edge: SmallEdge) -> None:
    """Neither to the others nor to the reader's own devices; what is read next is."""
    ada, ben = edge.connect(1), edge.connect(2)
    for sequence in (3, 2, 1, 4):
        read(edge, 1, sequence)
    assert await shown(ada) == await shown(ben) == [(7, 1, 3), (7, 1, 4)]


async def test_each_reader_of_each_room_goes_their_own_way(edge: SmallEdge) -> None:
    ben = edge.connect(2)
    read(edge, 1, 4)
    read(edge, 3, 2)
    read(edge, 1, 3, room=8)
    assert await shown(ben) == [(7, 1, 4), (7, 3, 2), (8, 1, 3)]


async def test_a_welcome_is_not_followed_by_an_older_receipt(edge: SmallEdge) -> None:
    """It told where the user's own receipt is; the hints on the way to there come late."""
    edge.store.read[7, 1] = 3
    ada = edge.connect(1)
    for sequence in (2, 4):
        read(edge, 1, sequence)
    assert await shown(ada) == [(7, 1, 4)]


async def test_what_a_welcome_told_its_user_is_still_news_to_the_others(edge: SmallEdge) -> None:
    ben = edge.connect(2)
    edge.store.read[7, 1] = 3
    edge.connect(1)
    read(edge, 1, 3)
    assert await shown(ben) == [(7, 1, 3)]


async def test_a_welcome_that_was_read_earlier_takes_nothing_back(edge: SmallEdge) -> None:
    """The room list was read before the receipt moved, and comes after its hint."""
    ben = edge.connect(2)
    read(edge, 1, 4)
    edge.store.read[7, 1] = 2
    edge.connect(1)
    read(edge, 1, 3)
    assert await shown(ben) == [(7, 1, 4)]


async def test_who_was_away_meanwhile_is_not_shown_less(edge: SmallEdge) -> None:
    """The room is held by another: what it knows of readers outlasts any one connection."""
    ada, ben = edge.connect(1), edge.connect(2)
    read(edge, 1, 4)
    edge.leave(ada)
    read(edge, 1, 3)
    assert await shown(ben) == [(7, 1, 4)]


async def test_a_room_that_was_set_back_has_its_receipts_anew(edge: SmallEdge) -> None:
    """They went with the log (a restored database)."""
    ben = edge.connect(2)
    read(edge, 1, 4)
    del edge.store.rooms[7][3:]
    edge.attach_anew()
    await settle()
    read(edge, 1, 3)
    assert await shown(ben) == [(7, 1, 4), (7, 1, 3)]


async def test_no_receipt_of_another_log_is_known(edge: SmallEdge) -> None:
    """A restore that left the room's head where it was is seen by the log's epoch alone."""
    ben = edge.connect(2)
    edge.rooms.follow(ConnectionOpened(), lambda _peer: None)
    read(edge, 1, 4)
    edge.rooms.follow(ConnectionOpened(log_epochs=[1]), lambda _peer: None)
    read(edge, 1, 3)
    assert await shown(ben) == [(7, 1, 4), (7, 1, 3)]


async def test_who_has_left_is_not_shown_what_was_read_after_it(edge: SmallEdge) -> None:
    """The hints of the leaving and of what followed are lost; the one of its reading is not."""
    ada, ben = edge.connect(1), edge.connect(2)
    edge.store.append(7, message_event(2, ""), left=(2,))
    edge.store.append(7, message_event(1, "he is gone"))
    read(edge, 1, 6)
    assert await shown(ada) == await shown(ben) == []
    edge.heads()
    assert await shown(ada) == [(7, 1, 6)]
    assert await shown(ben) == []
    assert ben.told.cursors[7] == 5


async def test_a_leaving_among_events_that_came_early_is_before_their_receipt(edge: SmallEdge) -> None:
    """However small the portions are in which they are let out."""
    ada, ben = edge.connect(1), edge.connect(2)
    lost = edge.store.append(7, message_event(1, "late"))
    left = edge.store.append(7, message_event(2, ""), left=(2,))
    with patch("edge.fanout.PORTION_BYTES", 0):
        edge.deliver(left, edge.store.append(7, message_event(1, "he is gone")))
        read(edge, 1, 7)
        edge.deliver(lost)
    assert await shown(ada) == [(7, 1, 7)]
    assert await shown(ben) == []


async def test_a_receipt_waits_for_what_was_read(edge: SmallEdge) -> None:
    """Of each reader the highest is shown, as soon as the room has come to it, and nothing lower after it."""
    ben = edge.connect(2)
    events = [edge.store.append(7, message_event(1, "hi")) for _ in range(3)]
    for user, sequence in ((1, 6), (1, 5), (3, 7), (4, 4)):
        read(edge, user, sequence)
    assert await shown(ben) == [(7, 4, 4)]
    edge.deliver(*events[:2])
    assert await shown(ben) == [(7, 1, 6)]
    read(edge, 1, 5)
    edge.deliver(events[2])
    assert await shown(ben) == [(7, 3, 7)]


async def test_what_was_read_is_shown_before_its_receipt(edge: SmallEdge) -> None:
    ben = edge.connect(2)
    events = [edge.store.append(7, message_event(1, "hi")) for _ in range(2)]
    read(edge, 1, 5)
    edge.deliver(*events)
    await ben.take(1)  # the welcome
    await ben.take(1)
    assert (ben.told.events, ben.told.receipts) == ([(7, 5)], [])
    await ben.take(1)
    assert ben.told.receipts == [(7, 1, 5)]


async def test_a_receipt_of_a_log_that_was_set_back_is_waited_for_no_more(edge: SmallEdge) -> None:
    """What comes to stand at its place is another thing, and nobody has read it."""
    ben = edge.connect(2)
    edge.store.append(7, message_event(1, "not in the backup"))
    read(edge, 1, 5)
    del edge.store.rooms[7][3:]
    edge.attach_anew()
    await settle()
    edge.deliver(*(edge.store.append(7, message_event(2, "hi")) for _ in range(3)))
    assert await shown(ben) == []
