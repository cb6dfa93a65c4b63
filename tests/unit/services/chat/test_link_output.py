"""The way down a link: one frame a tick, several when there is much, bounded and paced."""

from __future__ import annotations

import asyncio

from polychat.internal.link.v1.link_service_pb2 import ConnectionOpened
from polychat.internal.log.v1.log_read_service_pb2 import RoomEpoch, UserRoom
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomSignal

from services.chat.link_output import FRAME_BYTES, LinkOutput
from tests.support.chat_world import settle


async def test_what_is_due_leaves_in_one_frame_that_names_the_instance() -> None:
    """Only the first frame does."""
    output = LinkOutput("chat-1")
    frames = output.frames()
    output.event(EventRecord(room_id=7, sequence=1))
    output.event(EventRecord(room_id=7, sequence=2))
    output.head(8, 3)
    first = await anext(frames)
    assert (first.chat_instance, len(first.events), len(first.heads)) == ("chat-1", 2, 1)
    output.drain()
    second = await anext(frames)
    assert (second.chat_instance, second.draining, len(second.events)) == ("", True, 0)
    output.end()
    assert output.ended.is_set()


async def test_an_edge_that_does_not_read_is_cut() -> None:
    """Signals are dropped first; then the stream ends, and the edge attaches anew."""
    output = LinkOutput("chat-1", max_bytes=1000)
    output.event(EventRecord(room_id=7, sequence=1, event=b"x" * 500))
    output.signal(RoomSignal(room_id=7, typing=True))
    assert len(output._frames[-1].message.signals) == 0
    for sequence in range(2, 20):
        output.event(EventRecord(room_id=7, sequence=sequence, event=b"x" * 500))
    assert (output.overflowed, output.ended.is_set()) == (True, True)
    assert len(output._frames) == 0


async def test_much_leaves_in_several_frames() -> None:
    """Far below what gRPC takes in one message; who says much can wait until it is taken."""
    output = LinkOutput("chat-1")
    for sequence in range(1, 11):
        output.event(EventRecord(room_id=7, sequence=sequence, event=b"x" * 200_000))
    calm = asyncio.ensure_future(output.calm())
    frames = output.frames()
    seen: list[int] = []
    while len(seen) < 10:
        await settle(1)
        assert calm.done() == (len(seen) >= 8)
        frame = await anext(frames)
        assert frame.ByteSize() < FRAME_BYTES
        seen += [event.sequence for event in frame.events]
    assert seen == list(range(1, 11))


async def test_openings_are_counted_with_all_that_they_say() -> None:
    """Rooms that lived through many restores are large."""
    epochs = [RoomEpoch(epoch=2**40 + n, head_sequence=n + 1) for n in range(100)]
    output = LinkOutput("chat-1")
    for number in range(1, 11):
        rooms = [UserRoom(room_id=room_id, epochs=epochs) for room_id in range(1, 101)]
        output.opened(ConnectionOpened(connection_id=number, rooms=rooms))
    frames, told = output.frames(), 0
    while told < 10:
        frame = await anext(frames)
        assert frame.ByteSize() <= FRAME_BYTES
        told += len(frame.opened)


async def test_heads_and_events_follow_the_opening_before_them_in_a_frame_of_their_own() -> None:
    """The edge takes a frame's events and heads before its openings; it would not know the room yet."""
    output = LinkOutput("chat-1")
    output.opened(ConnectionOpened(connection_id=1))
    output.head(7, 3)
    output.head(8, 4)
    output.opened(ConnectionOpened(connection_id=2))
    output.event(EventRecord(room_id=9, sequence=1))
    frames = output.frames()
    first, second, third = [await anext(frames) for _ in range(3)]
    assert (len(first.opened), len(first.heads)) == (1, 0)
    assert (len(second.opened), [head.room_id for head in second.heads]) == (1, [7, 8])
    assert (len(third.opened), [event.room_id for event in third.events]) == (0, [9])
