"""Records that nobody should have written, in the rooms of a swarm and beside them (I2, I3, ISOLATE)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
import pytest_asyncio
from aiokafka.errors import MessageSizeTooLargeError
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.kafka import PARTITIONS, key_of, partition_of
from tests.support.api import User
from tests.support.eventually import eventually
from tests.support.log_writer import (
    LogWriter,
    Place,
    count_dead_letters,
    dead_letters,
    larger_records,
    log_writer,
    positions,
    records_of,
    sample,
)
from tests.support.matrix import Matrix
from tests.support.room_log import sent
from tests.support.stack import Stack
from tests.support.swarm import Swarm

PASSED_SECONDS = 30.0
TWO_MEGABYTES = 2 * 1024 * 1024
NOWHERE = 4_000_000_000_000_000_000
"""A room that nobody made."""
COPIED = 50

pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture
async def writer(own_stack: Stack) -> AsyncIterator[LogWriter]:
    """Writes into the room log past chat."""
    async with log_writer(own_stack) as made:
        yield made


async def passed(stack: Stack, places: Sequence[Place]) -> None:
    """Waits until the message service has these records behind it."""

    async def behind() -> bool:
        now = positions(stack)
        return all(now[partition] > offset for partition, offset in places)

    await eventually(behind, seconds=PASSED_SECONDS, what="positions behind what was injected")


async def test_poison_records_are_dead_letters_and_nothing_else(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, writer: LogWriter
) -> None:
    """As many as were injected, each with its offset; the rooms they were put into go on."""
    room = swarm.rooms[0]
    before = count_dead_letters(own_stack)
    async with matrix.fault("poison records", swarm):
        with pytest.raises(MessageSizeTooLargeError):
            await writer.put(room, b"\x00" * TWO_MEGABYTES)
        async with larger_records(own_stack):
            places = [await writer.put(room, b"\x00" * TWO_MEGABYTES)]
        places.append(await writer.put(room, b"\xff\xfe no protobuf"))
        places.append(await writer.put(room, b""))
        places.append(await writer.put(room, sent(room, NOWHERE, 1).SerializeToString()[:-3]))
        places += await _refused_by_a_constraint(own_stack, swarm, writer)
        await passed(own_stack, places)
    found = dead_letters(own_stack, places)
    assert list(found) == places
    assert count_dead_letters(own_stack) == before + len(places)
    assert found[places[-1]].startswith("refused by the store: ")


async def _refused_by_a_constraint(stack: Stack, swarm: Swarm, writer: LogWriter) -> list[Place]:
    """A message under the id of another one in its room."""
    room = await swarm.api.create_room(swarm.witness)
    message_id = int((await swarm.api.send(swarm.witness, room, "first"))["messageId"])
    return [await writer.put_record(sent(room, swarm.witness.user_id, 1, "second", message_id))]


async def test_foreign_records_do_nothing_in_our_rooms(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, writer: LogWriter
) -> None:
    """Another room's key, another partition, senders who are in no room, rooms that do not exist."""
    room = swarm.rooms[1]
    stranger = await swarm.api.register("stranger")
    record = sent(room, swarm.witness.user_id, 2, "foreign")
    async with matrix.fault("foreign records", swarm):
        value = record.SerializeToString()
        places = [
            await writer.put(room, value, key=key_of(room + 1)),
            await writer.put(room, value, partition=(partition_of(room) + 1) % PARTITIONS),
            await writer.put_record(LogRecord(room_id=room, event=_event_of(room + 1))),
        ]
        # A stranger's message is a good record that is not allowed: rejected, no dead letter.
        rejected = [
            await writer.put_record(sent(room, stranger.user_id, 3, "a stranger's")),
            await writer.put_record(sent(NOWHERE, stranger.user_id, 4, "nowhere")),
        ]
        await passed(own_stack, [*places, *rejected])
    assert set(dead_letters(own_stack, [*places, *rejected])) == set(places)
    assert _stored_texts(own_stack, "foreign", "a stranger's", "nowhere") == []


async def test_repeated_records_are_one_event_each(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, writer: LogWriter
) -> None:
    """Copies of what the log holds, twice, the second time in the opposite order."""
    room = swarm.rooms[2]
    copied = (await records_of(own_stack, room))[-COPIED:]
    assert copied
    before = count_dead_letters(own_stack)
    async with matrix.fault("duplicated and reordered records", swarm):
        for record in [*copied, *reversed(copied)]:
            place = await writer.put(room, record.value, headers=record.headers)
        await passed(own_stack, [place])
    assert count_dead_letters(own_stack) == before


async def test_swapped_records_get_their_places_by_the_log(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, writer: LogWriter
) -> None:
    """The order of the partition is the order, whatever the sender meant; each once (I3)."""
    anna = await swarm.api.register("anna")
    room = await swarm.api.create_room(anna)
    first, second = _said(room, anna, 1), _said(room, anna, 2)
    async with matrix.fault("swapped records", swarm):
        places = [await writer.put_record(record) for record in (second, first, second, first)]
        await passed(own_stack, places)
    log = await swarm.api.log(anna, room)
    assert [int(event["sequence"]) for event in log] == [1, 2, 3]
    assert [e["messageCreated"]["message"]["text"] for e in log[1:]] == ["number 2", "number 1"]


async def test_after_all_records_nothing_is_lost(own_stack: Stack, swarm: Swarm, matrix: Matrix) -> None:
    """What was injected is in no room of the swarm: each message there was sent by a client of it, once,
    and every reader was shown those and nothing else. Nothing waits in the log."""
    await matrix.judge(swarm)

    async def no_lag() -> bool:
        return await sample(own_stack, "message", "polychat_message_consumer_lag_records") == 0

    await eventually(no_lag, seconds=PASSED_SECONDS, what="an end of the lag")


def _said(room_id: int, user: User, number: int) -> LogRecord:
    record = sent(room_id, user.user_id, number, f"number {number}", uuid.uuid4().int >> 66)
    record.request_id = uuid.uuid4().bytes
    return record


def _event_of(room_id: int) -> bytes:
    event = RoomEvent(room_id=room_id)
    event.room_archived.SetInParent()
    return event.SerializeToString()


def _stored_texts(stack: Stack, *texts: str) -> list[str]:
    """Those of the texts that are in an event of any room."""
    query = "SELECT EXISTS (SELECT FROM message.room_event WHERE position(%s::bytea IN payload) > 0)"
    with psycopg.connect(stack.postgres_dsn) as connection:
        found = {text: connection.execute(query, (text.encode(),)).fetchone() for text in texts}
    return [text for text, row in found.items() if row != (False,)]
