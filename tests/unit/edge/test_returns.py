"""A user who left and came back before either was heard of: what happened between is not theirs (I5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from unittest.mock import patch

import pytest
from polychat.internal.log.v1.log_read_service_pb2 import LogRange, LogStretch
from polychat.internal.log.v1.record_pb2 import EventRecord

from tests.support.edge_log import message_event
from tests.support.edge_small import SmallEdge, SmallPeer, settle, small_edge


@pytest.fixture
async def edge() -> AsyncIterator[SmallEdge]:
    """Users 1 and 2 are in room 7."""
    async with small_edge() as made:
        for user in (1, 2):
            made.store.append(7, message_event(user, ""), joined=(user,))
        yield made


def leave_and_return(edge: SmallEdge) -> list[EventRecord]:
    """No hint of it came yet, and none of what was said before, meanwhile and after."""
    changes: tuple[dict[str, tuple[int]], ...] = ({}, {"left": (1,)}, {}, {}, {"joined": (1,)}, {})
    return [edge.store.append(7, message_event(2, "hi"), **change) for change in changes]


async def end(edge: SmallEdge, *peers: SmallPeer) -> None:
    """Everybody takes all there is, and what happens then."""
    for _ in range(2):
        await settle()
        for peer in peers:
            await peer.take(1000)
        assert [peer.told.owed() for peer in peers] == [[], []]
        edge.deliver(edge.store.append(7, message_event(2, "new")))
    await peers[0].take(1000)
    assert [peer.wire in edge.fanout.rooms[7].live for peer in peers] == [True, True]


async def test_a_second_connection_brings_nothing_of_others_to_the_first(edge: SmallEdge) -> None:
    """Its welcome tells of the return before the room's hole is mended."""
    first = edge.connect(1)
    leave_and_return(edge)
    await end(edge, first, edge.connect(1))


async def test_nor_to_one_that_lags(edge: SmallEdge) -> None:
    first = edge.connect(1)
    while first.wire.moved is None:
        edge.deliver(edge.store.append(7, message_event(2, "x" * 400)))
    leave_and_return(edge)
    second = edge.connect(1)
    await settle()
    await first.take(1000)
    await end(edge, first, second)


@pytest.mark.parametrize("read_before", [False, True])
async def test_nor_to_one_that_is_being_brought_on(edge: SmallEdge, *, read_before: bool) -> None:
    """Whether its read began before or after the second connection came."""
    edge.reader.gate.clear()
    edge.store.append(7, message_event(2, "hi"))
    first = edge.connect(1, {7: 1})
    if read_before:
        await settle()
    leave_and_return(edge)
    second = edge.connect(1)
    await settle()
    edge.reader.gate.set()
    await end(edge, first, second)


async def test_one_that_is_ahead_of_its_edge_is_brought_on(edge: SmallEdge) -> None:
    """It had 3, 4 and 5 on another edge. Nothing happens here at its cursor that is for it."""
    edge.connect(2)
    edge.mending.cancel()  # its read takes longer than all this
    records = [edge.store.append(7, message_event(2, "hi")) for _ in range(3)]
    first = edge.connect(1, {7: 5})
    records += leave_and_return(edge)
    second = edge.connect(1)
    await settle()
    edge.deliver(*records)
    await end(edge, first, second)


@pytest.mark.parametrize("read_first", [False, True])
async def test_one_that_left_ahead_of_its_edge_is_brought_on(edge: SmallEdge, *, read_first: bool) -> None:
    """It was told of its leaving on another edge, and its welcome is the first to tell of the return here."""
    other = edge.connect(2)
    edge.mending.cancel()
    records = leave_and_return(edge)
    edge.reader.gate.clear()
    peer = edge.connect(1, {7: 4})
    if read_first:
        edge.reader.gate.set()
    await settle()
    edge.deliver(*records)
    edge.reader.gate.set()
    await end(edge, peer, other)


async def test_so_is_one_that_returns_while_its_rooms_are_read(edge: SmallEdge) -> None:
    """The list is of between; the return came by, before what it follows."""
    other = edge.connect(2)
    edge.mending.cancel()
    records = [edge.store.append(7, message_event(2, "hi"))]
    records.append(edge.store.append(7, message_event(1, ""), left=(1,)))
    edge.rooms.expect(1)
    between = edge.opened(1)
    records.append(edge.store.append(7, message_event(2, "hi")))
    edge.deliver(edge.store.append(7, message_event(1, ""), joined=(1,)))
    peer = edge.welcome(between, {7: 4})
    await settle()
    edge.deliver(*records)
    await end(edge, peer, other)


async def test_a_list_that_tells_of_the_return_goes_on_with_the_replay(edge: SmallEdge) -> None:
    """It is being brought up to the leaving, and the return is heard by the list first."""
    edge.connect(2)
    edge.reader.gate.clear()
    with patch("edge.protocol.catch_up.RoomLog.since", return_value=None):
        first = edge.connect(1, {7: 1})
        edge.deliver(edge.store.append(7, message_event(1, ""), left=(1,)))
        edge.store.append(7, message_event(2, "hi"))
        edge.store.append(7, message_event(1, ""), joined=(1,))
        second = edge.connect(1)
        edge.reader.gate.set()
        edge.heads()
        await end(edge, first, second)


async def test_nor_to_one_that_is_between_two_reads(edge: SmallEdge) -> None:
    """What it was brought to happens here then, and is still before the leaving."""
    first = edge.connect(1)
    records = leave_and_return(edge)
    edge.mending.cancel()

    async def read(ranges: Sequence[LogRange]) -> Sequence[LogStretch]:
        if ranges[0].after_sequence == 3:
            edge.deliver(*records)
        return [edge.store.stretch(one) for one in ranges]

    with patch("edge.resume.REPLAY_SLOW", 1), patch.object(edge.reader, "read", read):
        second = edge.connect(1)
        await end(edge, first, second)
