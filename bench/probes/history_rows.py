"""Millions of messages, put into the tables of the message service past everything that would count them.

PostgreSQL multiplies them out: one row of each sequence comes from the service's own encoder, and every
room gets it with its own id in the place of the room's.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg
from polychat.event.v1.room_event_pb2 import RoomEvent

from chassis.ids import Snowflake
from services.message.commit_rows import time_of
from services.message.events import EventDraft

MESSAGES = 1_000
"""Of each room."""
TEXT = "x" * 128
PLACEHOLDER = 0x0123_4567_89AB_CDEF
"""A room id that takes nine bytes, as every Snowflake of these decades does."""
ROWS_AT_ONCE = 200_000
EVERY_MILLIS = 1_000
"""Between two messages of a room."""
WORKER = 1_022
"""Far above what the leases of one stack reach, so that no id is given twice."""
ROOM_TABLES = "CREATE TEMP TABLE bench_room (room_id bigint, spelled bytea)"
TEMPLATE_TABLES = """
CREATE TEMP TABLE bench_template (
    number bigint, sequence bigint, create_time timestamptz, sender bigint, message_id bigint,
    event_head bytea, event_tail bytea, message_head bytea, message_tail bytea, request bytea
)
"""
CROSS = "FROM (SELECT * FROM bench_template WHERE number > $1 AND number <= $2) t CROSS JOIN bench_room r"
EVENTS = (
    "INSERT INTO message.room_event (room_id, sequence, create_time, message_number, kind, payload)"
    " SELECT r.room_id, t.sequence, t.create_time, t.number, $3, t.event_head || r.spelled || t.event_tail"
    f" {CROSS} ORDER BY t.number"
)
CURRENT = (
    "INSERT INTO message.message"
    " (room_id, message_id, sequence, sender_user_id, thread_root_message_id, payload)"
    " SELECT r.room_id, t.message_id, t.sequence, t.sender, 0,"
    f" t.message_head || r.spelled || t.message_tail {CROSS} WHERE $3 > 0 ORDER BY t.number"
)
REQUESTS = (
    "INSERT INTO message.request"
    " (room_id, sender_user_id, request_id, body_hash, sequence, message_id, create_time)"
    " SELECT r.room_id, t.sender, t.request, t.request, t.sequence, t.message_id, t.create_time"
    f" {CROSS} WHERE $3 > 0 ORDER BY t.number"
)
ROWS = (EVENTS, CURRENT, REQUESTS)
"""In the order in which messages come, so that the latest of one room lie on as many pages as in life."""


async def fill(dsn: str, rooms: int, reader: int, senders: Sequence[int]) -> list[int]:
    """Writes rooms with MESSAGES each, all readable by one user; gives their ids."""
    ids = Snowflake(lambda: WORKER)
    room_ids = [ids.next() for _ in range(rooms)]
    connection = await asyncpg.connect(dsn, ssl=False, command_timeout=600)
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(ROOM_TABLES)
        await connection.execute(TEMPLATE_TABLES)
        await connection.copy_records_to_table(
            "bench_room", records=[(room, spelled(room)) for room in room_ids]
        )
        await connection.copy_records_to_table("bench_template", records=_templates(ids, senders))
        await _heads(connection, room_ids, reader)
        step = max(1, ROWS_AT_ONCE // rooms)
        kind = RoomEvent.DESCRIPTOR.fields_by_name["message_created"].number
        for low in range(0, MESSAGES, step):
            for statement in ROWS:
                await connection.execute(statement, low, low + step, kind)
        for table in ("room_event", "message", "request", "room_head", "membership", "receipt"):
            await connection.execute(f"VACUUM (ANALYZE) message.{table}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    return room_ids


def spelled(number: int) -> bytes:
    """A number as protobuf spells it (varint)."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def split(payload: bytes) -> tuple[bytes, bytes]:
    """What comes before and after the room's id. ValueError when it is not there once."""
    head, tail = payload.split(spelled(PLACEHOLDER))
    return head, tail


def _templates(ids: Snowflake, senders: Sequence[int]) -> list[tuple[Any, ...]]:
    began = time.time_ns() // 1_000_000 - (MESSAGES + 1) * EVERY_MILLIS
    found = []
    for number in range(1, MESSAGES + 1):
        sender, message_id, request = senders[number % len(senders)], ids.next(), uuid.uuid4()
        event = RoomEvent(room_id=PLACEHOLDER, actor_user_id=sender, request_id=str(request))
        message = event.message_created.message
        message.message_id, message.sender_user_id, message.text = message_id, sender, TEXT
        millis = began + number * EVERY_MILLIS
        sealed = EventDraft(event).seal(number + 1, millis, number)
        assert sealed.message is not None
        payloads = (*split(sealed.event), *split(sealed.message))
        found.append((number, number + 1, time_of(millis), sender, message_id, *payloads, request.bytes))
    return found


async def _heads(connection: asyncpg.Connection[Any], rooms: Sequence[int], reader: int) -> None:
    """Each room begins with the reader's coming in, which is also as far as they have read."""
    now = time.time_ns() // 1_000_000
    joined = []
    for room in rooms:
        event = RoomEvent(room_id=room, request_id=str(uuid.UUID(bytes=secrets.token_bytes(16))))
        event.member_joined.membership.room_id = room
        event.member_joined.membership.user_id = reader
        sealed = EventDraft(event).seal(1, now, 0)
        kind = RoomEvent.DESCRIPTOR.fields_by_name["member_joined"].number
        joined.append((room, 1, time_of(now), 0, kind, reader, None, sealed.event))
    tables: dict[str, list[tuple[Any, ...]]] = {
        "room_event": joined,
        "room_head": [(room, MESSAGES + 1, MESSAGES, now, False) for room in rooms],
        "membership": [(room, reader, 1, None) for room in rooms],
        "receipt": [(room, reader, 1, 0) for room in rooms],
    }
    columns = {
        "room_event": "room_id sequence create_time message_number kind joined_user_id left_user_id payload",
        "room_head": "room_id head_sequence message_count activity archived",
        "membership": "room_id user_id joined_sequence left_sequence",
        "receipt": "room_id user_id read_sequence read_message_number",
    }
    for table, records in tables.items():
        await connection.copy_records_to_table(
            table, schema_name="message", records=records, columns=columns[table].split()
        )
