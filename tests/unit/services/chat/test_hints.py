"""What comes over Redis, and what is done when some of it did not come."""

from __future__ import annotations

import pytest
from polychat.internal.log.v1.record_pb2 import (
    DISPOSITION_COMMITTED,
    DISPOSITION_REJECTED,
    EventRecord,
    HeadsHint,
    MembershipHint,
    Outcome,
    OutcomeBatch,
    PartitionHeads,
    RoomHead,
    RoomHint,
    RoomSignal,
    SessionHint,
)

from chassis.kafka import PARTITIONS, partition_of
from chassis.redis import HEADS, MEMBERSHIP, SESSIONS, chat_channel, room_channel
from services.chat import ports
from services.chat.hints import HeadNumbers
from tests.support.chat_place import Place
from tests.support.chat_world import running, settle

ANN, BOB = 1, 2
ROOM = 70


@pytest.fixture
async def place() -> Place:
    return Place()


async def test_outcomes_reach_who_waits(place: Place) -> None:
    """In microseconds since 1970; an unknown disposition is left alone."""
    told: list[object] = []
    place.pending.add(11, ports.LogEntry(ROOM, 1, b"k" * 16, b"h", b""), told.append)
    batch = OutcomeBatch(outcomes=[Outcome(correlation=11, room_id=ROOM)])
    place.hints.on_message(chat_channel("chat-1"), batch.SerializeToString())
    assert told == []
    outcome = Outcome(
        correlation=11, room_id=ROOM, disposition=DISPOSITION_COMMITTED, sequence=4, message_id=9
    )
    outcome.create_time.FromMicroseconds(1_234_567_890_123)
    place.hints.on_message(chat_channel("chat-1"), OutcomeBatch(outcomes=[outcome]).SerializeToString())
    committed = ports.Outcome(11, ports.Disposition.COMMITTED, ROOM, 4, 9, 1_234_567_890_123)
    assert told == [committed]
    place.pending.add(12, ports.LogEntry(ROOM, 1, b"k" * 16, b"h", b""), told.append)
    refused = Outcome(correlation=12, room_id=ROOM, disposition=DISPOSITION_REJECTED, reason="NOT_A_MEMBER")
    place.hints.on_message(chat_channel("chat-1"), OutcomeBatch(outcomes=[refused]).SerializeToString())
    assert told[1] == ports.Outcome(12, ports.Disposition.REJECTED, ROOM, reason="NOT_A_MEMBER")


async def test_a_rooms_channel_brings_events_and_signals(place: Place) -> None:
    """What cannot be read is as if it were lost."""
    place.connect(ANN, {ROOM: 4})
    hint = RoomHint(
        events=[EventRecord(room_id=ROOM, sequence=5, event=b"five")],
        signals=[RoomSignal(room_id=ROOM, user_id=BOB, read_sequence=5)],
    )
    place.hints.on_message(room_channel(ROOM), b"\xff\xff")
    place.hints.on_message(room_channel(ROOM), hint.SerializeToString())
    assert place.events() == [5]
    assert len(place.output._frames[-1].message.signals) == 1


async def test_a_membership_hint_moves_users_and_clears_the_cache(place: Place) -> None:
    """Chat instances that do not listen to the room hear of it too."""
    place.connect(ANN, {})
    async with running(place.members.run):
        place.members.ask((ROOM, ANN), lambda _found: None)
        await settle()
    assert place.members.get((ROOM, ANN)) is not None
    hint = MembershipHint(events=[EventRecord(room_id=ROOM, sequence=5, joined_user_ids=[ANN])])
    place.hints.on_message(MEMBERSHIP, hint.SerializeToString())
    assert place.members.get((ROOM, ANN)) is None
    assert place.events() == [5]
    assert place.hub.rooms_of(ANN) == {ROOM}


async def test_ended_sessions_are_told_to_every_edge(place: Place) -> None:
    """The edges know whose connections they are."""
    place.hints.on_message(SESSIONS, SessionHint(revoked_session_ids=[101, 102]).SerializeToString())
    assert list(place.output._frames[-1].message.revoked_session_ids) == [101, 102]


def partition_heads(number: int, epoch: int = 1, *, compare_all: bool = False) -> PartitionHeads:
    return PartitionHeads(partition=3, owner_epoch=epoch, number=number, compare_all=compare_all)


def test_the_numbers_of_a_partition_show_a_loss() -> None:
    """A jump, a new owner, and an owner who says so; not the first hint after everything was compared."""
    numbers = HeadNumbers()
    told = [
        (partition_heads(7), False),
        (partition_heads(8), False),
        (partition_heads(10), True),
        (partition_heads(11), False),
        (partition_heads(1, 2), True),
        (partition_heads(12, 1), False),
        (partition_heads(2, 2), False),
        (partition_heads(3, 2, compare_all=True), True),
    ]
    assert [numbers.lost(heads) for heads, _ in told] == [lost for _, lost in told]
    numbers.forget()
    assert not numbers.lost(partition_heads(9, 2))


async def test_a_head_above_what_was_passed_is_told(place: Place) -> None:
    """So the last hint of a room may be lost: the next second shows it."""
    place.connect(ANN, {ROOM: 4})
    heads = PartitionHeads(
        partition=partition_of(ROOM), number=1, heads=[RoomHead(room_id=ROOM, head_sequence=6)]
    )
    place.hints.on_message(HEADS, HeadsHint(partitions=[heads]).SerializeToString())
    assert place.heads() == [(ROOM, 6)]
    assert place.asked == []


async def test_after_a_jump_the_rooms_of_the_partition_are_compared(place: Place) -> None:
    """Heads of rooms in other partitions are not asked for."""
    other = next(r for r in range(71, 999) if partition_of(r) != partition_of(ROOM))
    place.write(ROOM, 4, joined=ANN)
    place.write(other, 4, joined=ANN)
    place.connect(ANN, {ROOM: 4, other: 4})
    place.write(ROOM, 6)
    place.write(other, 6)
    for number in (1, 3):
        heads = PartitionHeads(partition=partition_of(ROOM), number=number)
        place.hints.on_message(HEADS, HeadsHint(partitions=[heads]).SerializeToString())
    assert place.asked == [partition_of(ROOM)]
    await place.repair.repair()
    assert place.heads() == [(ROOM, 6)]
    assert place.behind == [1]


async def test_after_redis_was_away_everything_is_compared(place: Place) -> None:
    """Who joined meanwhile is told their rooms again, rooms that were left are told once more."""
    left = 90
    place.write(ROOM, 2, joined=BOB)
    place.write(left, 3, joined=ANN)
    place.connect(ANN, {left: 3})
    place.write(ROOM, 5, joined=ANN)
    place.write(ROOM, 8)
    place.write(left, 4, left=ANN)
    place.hints.on_connect()
    assert place.asked == list(range(PARTITIONS))
    await place.repair.repair()
    assert place.told() == [(ANN, [(ROOM, 8, 5)])]
    assert set(place.heads()) == {(left, 4)}
    assert place.hub.rooms_of(ANN) == {ROOM}
