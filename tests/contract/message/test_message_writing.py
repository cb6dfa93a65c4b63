"""What a commit writes, what it refuses, and who may not write at all."""

from __future__ import annotations

import asyncio

from polychat.chat.v1.message_pb2 import Message
from polychat.event.v1.room_event_pb2 import MessageCreated, RoomEvent

from chassis.kafka import key_of
from services.message.domain import Disposition, Raw, RequestKey
from services.message.use_cases.sequencing import Sequencer
from tests.contract.message.conftest import PARTITION, World, ends, events_of
from tests.support.room_log import Tape, archived, joined, left, request_id, rooms_of, sent

ROOM, OTHER_ROOM = rooms_of(PARTITION, 2)
SECOND_PARTITION = 6
(FAR_ROOM,) = rooms_of(SECOND_PARTITION, 1)


async def test_events_get_sequences_numbers_and_times(world: World) -> None:
    """The stored event is complete, and so is the message, which says what the event says besides."""
    world.tape.put(joined(ROOM, 1, 1))
    world.tape.put(sent(ROOM, 1, 2, "first", message_id=77))
    assert ends(await world.write(await world.owner())) == [("COMMITTED", 1, ""), ("COMMITTED", 2, "")]
    came, said = await events_of(world, ROOM)
    assert (came.sequence, came.member_joined.membership.user_id) == (1, 1)
    assert (said.sequence, said.create_time.seconds) == (2, 1000)
    inside = said.message_created.message
    assert (inside.message_number, inside.text, inside.sequence, inside.room_id) == (1, "first", 0, 0)
    assert not inside.HasField("create_time")
    stored = await world.reader.message(ROOM, 77)
    assert stored is not None
    whole = Message.FromString(stored.payload)
    assert (whole.room_id, whole.sequence, whole.message_number) == (ROOM, 2, 1)
    assert whole.create_time.seconds == 1000


async def test_a_repeat_in_the_same_batch_and_in_a_later_one_is_the_first(world: World) -> None:
    """One request id is one message, whenever it comes again (I2)."""
    owner = await world.owner()
    world.tape.put_all(joined(ROOM, 1, 1), sent(ROOM, 1, 2), sent(ROOM, 1, 2))
    assert ends(await world.write(owner))[1:] == [("COMMITTED", 2, ""), ("DUPLICATE", 2, "")]
    world.clock.now += 60_000
    world.tape.put(sent(ROOM, 1, 3))
    world.tape.put(sent(ROOM, 1, 2))
    result = await world.write(owner)
    assert ends(result) == [("COMMITTED", 3, ""), ("DUPLICATE", 2, "")]
    repeat = result.committed[0].outcomes[1]
    assert (repeat.message_id, repeat.create_millis) == (1_000_002, 1_000_000)
    assert [event.sequence for event in await events_of(world, ROOM)] == [1, 2, 3]


async def test_a_request_id_with_another_body_is_refused(world: World) -> None:
    """In the same batch and in a later one."""
    owner = await world.owner()
    world.tape.put_all(joined(ROOM, 1, 1), sent(ROOM, 1, 2), sent(ROOM, 1, 2, "else"))
    assert ends(await world.write(owner))[2] == ("REJECTED", 0, "REQUEST_ID_REUSED")
    world.tape.put(sent(ROOM, 1, 2, "again else"))
    assert ends(await world.write(owner)) == [("REJECTED", 0, "REQUEST_ID_REUSED")]


async def test_the_same_request_id_of_another_sender_or_room_is_another_request(world: World) -> None:
    """The key is room, sender and id together."""
    world.tape.put_all(joined(ROOM, 1, 1), joined(ROOM, 2, 2), joined(OTHER_ROOM, 1, 1))
    world.tape.put(sent(ROOM, 1, 9, message_id=91))
    world.tape.put(sent(ROOM, 2, 9, message_id=92))
    world.tape.put(sent(OTHER_ROOM, 1, 9, message_id=93))
    result = await world.write(await world.owner())
    assert {end[0] for end in ends(result)} == {"COMMITTED"}


async def test_a_repeat_is_answered_with_the_first_result_though_the_sender_has_left(world: World) -> None:
    """What was committed stays committed, whatever changed since."""
    owner = await world.owner()
    world.tape.put_all(joined(ROOM, 1, 1), sent(ROOM, 1, 2), left(ROOM, 1, 3))
    await world.write(owner)
    world.tape.put(sent(ROOM, 1, 2))
    world.tape.put(sent(ROOM, 1, 4))
    assert ends(await world.write(owner)) == [("DUPLICATE", 2, ""), ("REJECTED", 0, "NOT_A_MEMBER")]


async def test_only_members_send_at_their_place_in_the_log(world: World) -> None:
    """Before the join and after the leave of the same batch it is refused."""
    world.tape.put_all(
        sent(ROOM, 1, 1), joined(ROOM, 1, 2), sent(ROOM, 1, 3), left(ROOM, 1, 4), sent(ROOM, 1, 5)
    )
    result = await world.write(await world.owner())
    assert [end[0] for end in ends(result)] == ["REJECTED", "COMMITTED", "COMMITTED", "COMMITTED", "REJECTED"]
    assert len(await events_of(world, ROOM)) == 3


async def test_nobody_sends_into_an_archived_room(world: World) -> None:
    """In the same batch and in a later one; members can still leave."""
    owner = await world.owner()
    world.tape.put_all(joined(ROOM, 1, 1), archived(ROOM, 2), sent(ROOM, 1, 3))
    assert ends(await world.write(owner))[2] == ("REJECTED", 0, "ROOM_ARCHIVED")
    world.tape.put(sent(ROOM, 1, 4))
    world.tape.put(left(ROOM, 1, 5))
    assert ends(await world.write(await world.owner())) == [
        ("REJECTED", 0, "ROOM_ARCHIVED"),
        ("COMMITTED", 3, ""),
    ]


async def test_two_owners_fence(world: World) -> None:
    """The old owner writes nothing from the moment a new one has claimed."""
    old = await world.owner()
    world.tape.put(joined(ROOM, 1, 1))
    await world.write(old)
    new = await world.owner()
    world.tape.put(sent(ROOM, 1, 2))
    result = await world.write(old)
    assert (result.fenced, result.committed) == ({PARTITION}, [])
    assert ends(await world.write(new)) == [("COMMITTED", 2, "")]
    assert await old.resume([PARTITION]) == set()


async def test_an_owner_that_stands_elsewhere_writes_nothing(world: World) -> None:
    """The fence compares the offset too: a batch is never committed twice."""
    owner = await world.owner()
    world.tape.put(joined(ROOM, 1, 1))
    batch = {PARTITION: world.tape.batch(0)}
    twin = Sequencer(world.writer, world.clock)
    twin._positions = dict(owner._positions)
    await owner.process(batch)
    assert (await twin.process(batch)).fenced == {PARTITION}
    assert len(await events_of(world, ROOM)) == 1


async def test_a_lost_partition_does_not_hold_up_the_others_of_the_fetch(world: World) -> None:
    """One statement writes all partitions or none; then the rest goes again."""
    far = Tape(SECOND_PARTITION)
    mine = Sequencer(world.writer, world.clock)
    await mine.claim([PARTITION, SECOND_PARTITION])
    world.tape.put(joined(ROOM, 1, 1))
    far.put(joined(FAR_ROOM, 1, 1))
    await world.owner()
    result = await mine.process({PARTITION: world.tape.batch(0), SECOND_PARTITION: far.batch(0)})
    assert result.fenced == {PARTITION}
    assert [plan.position.partition for plan in result.committed] == [SECOND_PARTITION]
    assert await world.reader.heads([ROOM, FAR_ROOM]) == {FAR_ROOM: 1}
    assert (await world.writer.positions([PARTITION]))[PARTITION].next_offset == 0


async def test_records_that_cannot_be_read_are_kept_and_passed_over(world: World) -> None:
    """Whatever is wrong with one: it becomes a dead letter, and the next record has its sequence."""
    good = joined(ROOM, 1, 1)
    foreign, elsewhere = sent(ROOM, 1, 2), sent(FAR_ROOM, 1, 3)
    other_event = sent(ROOM, 1, 4)
    other_event.event = RoomEvent(room_id=OTHER_ROOM, message_created=MessageCreated()).SerializeToString()
    short, nobody = sent(ROOM, 1, 5), joined(ROOM, 0, 6)
    short.request_id = b"short"
    spoofed = sent(ROOM, 1, 7)
    spoofed.sender_user_id = 2
    large = sent(ROOM, 1, 8, "x" * 33_000)
    owner_by_user = joined(ROOM, 1, 9)
    owner_by_user.sender_user_id = 1
    deep = b"\x0b" * 200
    for raw in (
        Raw(b"", None),
        Raw(key_of(ROOM), b"\xff\xff"),
        Raw(key_of(ROOM), deep),
        Raw(b"not a number", foreign.SerializeToString()),
        Raw(None, foreign.SerializeToString(), [("h\x00", b"\x00\xff")]),
    ):
        world.tape.put_raw(raw)
    world.tape.put_all(elsewhere, other_event, short, nobody, spoofed, large, owner_by_user)
    world.tape.put(good)
    result = await world.write(await world.owner())
    assert ends(result) == [("COMMITTED", 1, "")]
    assert [letter.offset for letter in result.committed[0].dead] == list(range(12))
    if world.pool is not None:
        rows = await world.pool.fetch("SELECT record_offset, reason, value FROM dead_letter ORDER BY 1")
        assert [row["record_offset"] for row in rows] == list(range(12))
        assert rows[2]["value"] == deep


async def test_a_message_id_that_is_taken_is_a_dead_letter_and_blocks_nothing(world: World) -> None:
    """Ids are unique by lease; if one were given twice, the second message must not stop the room."""
    owner = await world.owner()
    world.tape.put_all(joined(ROOM, 1, 1), sent(ROOM, 1, 2, message_id=5))
    await world.write(owner)
    world.tape.put_all(sent(ROOM, 1, 3), sent(ROOM, 1, 4, message_id=5), sent(ROOM, 1, 5))
    result = await world.write(owner)
    assert ends(result) == [("COMMITTED", 3, ""), ("COMMITTED", 4, "")]
    (letter,) = [letter for plan in result.committed for letter in plan.dead]
    assert (letter.offset, letter.reason) == (3, "refused by the store: message_pkey")
    assert owner.positions[PARTITION].next_offset == len(world.tape.records)


async def test_time_never_goes_back_in_a_room(world: World) -> None:
    """A clock that was set back does not reorder a room list or its events."""
    owner = await world.owner()
    world.tape.put(joined(ROOM, 1, 1))
    await world.write(owner)
    world.clock.now -= 500_000
    world.tape.put(sent(ROOM, 1, 2))
    await world.write(await world.owner())
    assert [event.create_time.seconds for event in await events_of(world, ROOM)] == [1000, 1000]


async def test_a_commit_of_unknown_end_is_read_from_the_position(world: World) -> None:
    """A new owner, or the same after a lost connection, starts where the rows say, never twice."""
    owner = await world.owner()
    world.tape.put(joined(ROOM, 1, 1))
    await world.write(owner)
    again = await world.owner()
    assert again.positions[PARTITION].next_offset == 1
    assert again.positions[PARTITION].anchor == b"anchor-1"
    key = RequestKey(ROOM, 0, request_id(1))
    assert (await world.reader.known([key]))[key].sequence == 1


async def test_a_locked_room_is_set_aside_and_the_others_commit(on_postgres: World) -> None:
    """Somebody's open transaction costs one partition its turn, nobody else's."""
    world, far = on_postgres, Tape(SECOND_PARTITION)
    owner = Sequencer(world.writer, world.clock)
    await owner.claim([PARTITION, SECOND_PARTITION])
    world.tape.put(joined(ROOM, 1, 1))
    await world.write(owner)
    world.tape.put(sent(ROOM, 1, 2))
    far.put(joined(FAR_ROOM, 1, 1))
    async with world.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM room_head WHERE room_id = $1 FOR UPDATE", ROOM)
        result = await owner.process({PARTITION: world.tape.batch(1), SECOND_PARTITION: far.batch(0)})
        assert result.locked == {PARTITION}
        assert [plan.position.partition for plan in result.committed] == [SECOND_PARTITION]
    assert ends(await world.write(owner)) == [("COMMITTED", 2, "")]


async def test_a_claim_waits_for_the_commit_in_hand_and_then_sees_it(on_postgres: World) -> None:
    """Whichever comes first, the new owner's position and the rows agree."""
    world = on_postgres
    for number in range(1, 6):
        world.tape.put(joined(ROOM, number, number))
        old = await world.owner()
        result, new = await asyncio.gather(world.write(old), world.owner())
        stands = new.positions[PARTITION].next_offset
        assert (stands == number) == bool(result.committed) == (result.fenced == set())
        await world.write(new)
    assert [event.sequence for event in await events_of(world, ROOM)] == [1, 2, 3, 4, 5]


async def test_outcomes_name_who_waits(world: World) -> None:
    """reply_to and correlation come back; headers that make no sense are as good as none."""
    waiting = [("reply_to", b"chat-1"), ("correlation", (7).to_bytes(8, "big"))]
    world.tape.put(joined(ROOM, 1, 1), waiting)
    world.tape.put(joined(ROOM, 2, 2), [("reply_to", b"chat-1"), ("correlation", b"7")])
    result = await world.write(await world.owner())
    first, second = result.committed[0].outcomes
    assert (first.reply_to, first.correlation, first.disposition) == ("chat-1", 7, Disposition.COMMITTED)
    assert (second.reply_to, second.correlation) == ("", 0)
