"""What is told after a commit, and what is kept to be told while Redis is away."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from polychat.internal.log.v1.record_pb2 import (
    DISPOSITION_COMMITTED,
    DISPOSITION_REJECTED,
    HeadsHint,
    MembershipHint,
    OutcomeBatch,
    PartitionHeads,
    RoomHint,
)

from chassis import redis
from chassis.errors import BackendUnavailable
from chassis.telemetry import Metrics
from services.message.domain import Plan, Position, Room
from services.message.hints import COMPARE_ALL_TIMES, MAX_MOVED, Hints, commit_hints
from services.message.memory import MemoryLog
from services.message.use_cases.sequencing import Sequencer
from tests.support.room_log import Tape, joined, left, rooms_of, sent

PARTITION = 5
ROOM, OTHER_ROOM = rooms_of(PARTITION, 2)
WAITING = [("reply_to", b"chat-1"), ("correlation", (7).to_bytes(8, "big"))]


class FakeRedis:
    """Keeps what is published, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.attempts = 0
        self.published: list[tuple[str, bytes]] = []

    async def publish(self, hints: Sequence[tuple[str, bytes]]) -> None:
        self.attempts += 1
        if self.away:
            raise BackendUnavailable("redis")
        self.published += hints

    def heads(self) -> list[PartitionHeads]:
        """Every partition's heads that were said, in order."""
        said = [
            HeadsHint.FromString(payload) for channel, payload in self.published if channel == redis.HEADS
        ]
        return [part for hint in said for part in hint.partitions]


async def plans_of(tape: Tape) -> list[Plan]:
    """The tape, committed."""
    sequencer = Sequencer(MemoryLog(), lambda: 1000)
    await sequencer.claim([PARTITION])
    return (await sequencer.process({PARTITION: tape.batch(0)})).committed


def moved(room_id: int, head: int) -> Plan:
    """A commit that moved one head."""
    plan = Plan(Position(PARTITION, 3, 0), 1, b"")
    plan.rooms = {room_id: Room(head)}
    return plan


async def test_a_commit_tells_rooms_members_and_who_waits() -> None:
    """Events of a room travel together in order; rejected records are told to their sender only."""
    tape = Tape(PARTITION)
    tape.put(joined(ROOM, 1, 1), WAITING)
    tape.put(joined(OTHER_ROOM, 1, 2))
    tape.put(sent(ROOM, 1, 3), WAITING)
    tape.put(sent(ROOM, 2, 4), WAITING)
    tape.put(left(ROOM, 1, 5))
    told = dict(commit_hints(await plans_of(tape)))
    assert told.keys() == {
        redis.room_channel(ROOM),
        redis.room_channel(OTHER_ROOM),
        redis.MEMBERSHIP,
        redis.chat_channel("chat-1"),
    }
    assert [e.sequence for e in RoomHint.FromString(told[redis.room_channel(ROOM)]).events] == [1, 2, 3]
    members = MembershipHint.FromString(told[redis.MEMBERSHIP]).events
    assert [(e.room_id, list(e.joined_user_ids), list(e.left_user_ids)) for e in members] == [
        (ROOM, [1], []),
        (OTHER_ROOM, [1], []),
        (ROOM, [], [1]),
    ]
    outcomes = OutcomeBatch.FromString(told[redis.chat_channel("chat-1")]).outcomes
    assert [(o.disposition, o.sequence, o.reason) for o in outcomes] == [
        (DISPOSITION_COMMITTED, 1, ""),
        (DISPOSITION_COMMITTED, 2, ""),
        (DISPOSITION_REJECTED, 0, "NOT_A_MEMBER"),
    ]


async def test_a_large_commit_is_split_into_several_hints() -> None:
    """No hint is larger than a subscriber's buffer bears."""
    tape = Tape(PARTITION)
    tape.put(joined(ROOM, 1, 1))
    for number in range(2, 82):
        tape.put(sent(ROOM, 1, number, "x" * 30_000))
    told = [
        payload
        for channel, payload in commit_hints(await plans_of(tape))
        if channel == redis.room_channel(ROOM)
    ]
    assert len(told) == 3
    assert max(map(len, told)) < 1_100_000
    sequences = [event.sequence for payload in told for event in RoomHint.FromString(payload).events]
    assert sequences == list(range(1, 82))


async def test_a_new_owner_says_compare_all_for_a_while_and_then_only_what_moved() -> None:
    """Numbers rise by one per hint, so that a lost one shows."""
    server = FakeRedis()
    hints = Hints(server, Metrics("message"))
    hints.own([Position(PARTITION, 3, 0)])
    for _ in range(COMPARE_ALL_TIMES + 2):
        await hints.publish_heads()
    await hints.committed([moved(ROOM, 8)])
    await hints.publish_heads()
    await hints.publish_heads()
    said = server.heads()
    assert [part.compare_all for part in said] == [True] * COMPARE_ALL_TIMES + [False]
    assert [part.number for part in said] == list(range(1, COMPARE_ALL_TIMES + 2))
    assert {part.owner_epoch for part in said} == {3}
    assert [(head.room_id, head.head_sequence) for head in said[-1].heads] == [(ROOM, 8)]


async def test_heads_that_moved_while_redis_was_away_are_said_when_it_is_back() -> None:
    """Commits do not try Redis again and again meanwhile; the heads do, once a second."""
    server = FakeRedis()
    hints = Hints(server, Metrics("message"))
    hints.own([Position(PARTITION, 3, 0)])
    server.away = True
    await hints.committed([moved(ROOM, 8)])
    await hints.committed([moved(ROOM, 9), moved(OTHER_ROOM, 1)])
    assert server.attempts == 1
    await hints.publish_heads()
    server.away = False
    await hints.publish_heads()
    (said,) = server.heads()
    assert said.number == 1
    assert {(h.room_id, h.head_sequence) for h in said.heads} == {(ROOM, 9), (OTHER_ROOM, 1)}
    await hints.committed([moved(ROOM, 10)])
    assert server.attempts == 4


@pytest.mark.parametrize("noticed", [False, True])
async def test_a_membership_that_was_told_to_nobody_makes_everybody_compare(noticed: bool) -> None:
    """Its user's chat may not listen to the room, so no later head or event would show the join."""
    server = FakeRedis()
    hints = Hints(server, Metrics("message"))
    hints.own([Position(PARTITION, 3, 0)])
    for _ in range(COMPARE_ALL_TIMES):
        await hints.publish_heads()
    tape = Tape(PARTITION)
    tape.put(joined(ROOM, 1, 1))
    server.away = True
    if noticed:
        await hints.publish_heads()
        await hints.committed([moved(OTHER_ROOM, 1)])
    await hints.committed(await plans_of(tape))
    server.away = False
    for _ in range(COMPARE_ALL_TIMES + 1):
        await hints.publish_heads()
    said = server.heads()[COMPARE_ALL_TIMES:]
    assert [part.compare_all for part in said] == [True] * COMPARE_ALL_TIMES


async def test_too_many_moved_rooms_become_compare_all() -> None:
    """Memory is bounded however long Redis is away."""
    server = FakeRedis()
    hints = Hints(server, Metrics("message"))
    hints.own([Position(PARTITION, 3, 0)])
    for _ in range(COMPARE_ALL_TIMES):
        await hints.publish_heads()
    server.away = True
    plan = moved(ROOM, 1)
    plan.rooms = dict.fromkeys(range(MAX_MOVED + 1), plan.rooms[ROOM])
    await hints.committed([plan])
    server.away = False
    await hints.publish_heads()
    assert (server.heads()[-1].compare_all, len(server.heads()[-1].heads)) == (True, 0)


async def test_a_released_partition_says_nothing_more() -> None:
    """Its new owner speaks for it."""
    server = FakeRedis()
    hints = Hints(server, Metrics("message"))
    hints.own([Position(PARTITION, 3, 0)])
    await hints.committed([moved(ROOM, 8)])
    hints.release([PARTITION])
    await hints.publish_heads()
    assert server.heads() == []


async def test_a_receipt_is_a_signal_of_its_room() -> None:
    """And is dropped while Redis is away."""
    server = FakeRedis()
    hints = Hints(server, Metrics("message"))
    await hints.receipt_moved(ROOM, 1, 5)
    ((channel, payload),) = server.published
    (signal,) = RoomHint.FromString(payload).signals
    assert (channel, signal.user_id, signal.read_sequence) == (redis.room_channel(ROOM), 1, 5)
    server.away = True
    await hints.receipt_moved(ROOM, 1, 6)
    await hints.receipt_moved(ROOM, 1, 7)
    assert server.attempts == 2
