"""What a database that was set back needs before anything may run on it: a new epoch, a new log, one truth.

A restored database is older than what clients have seen, than Kafka, and, for events that were between
chat and message at that instant, than itself. docs/decisions/0008-backup-and-restore.md has the argument.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
from psycopg.rows import DictRow, dict_row

from scripts.stack.errors import StackError
from services.chat.domain import (
    Event,
    LeftReason,
    MemberJoined,
    MemberLeft,
    Membership,
    Role,
    Room,
    RoomKind,
    State,
)
from services.chat.events import membership_entry

Connection = psycopg.AsyncConnection[DictRow]

# Also later than the newest: the clock of this machine may be behind that of the one before.
NEW_EPOCH = """
INSERT INTO message.log_epoch (epoch)
SELECT greatest(%s, coalesce(max(epoch), 0) + 1) FROM message.log_epoch
RETURNING epoch
"""

# A room of chat without a log yet counts as one of length 0.
MARK_ROOMS = """
INSERT INTO message.room_epoch (room_id, epoch, head_sequence)
SELECT room_id, %s, coalesce(h.head_sequence, 0)
FROM chat.room FULL JOIN message.room_head h USING (room_id)
"""

LOG_POSITION = """
INSERT INTO message.log_position (partition, next_offset, owner_epoch) VALUES (%s, %s, 1)
ON CONFLICT (partition) DO UPDATE SET
    next_offset = excluded.next_offset, anchor = '', owner_epoch = log_position.owner_epoch + 1
"""

NOT_JOINED_IN_LOG = """
SELECT m.room_id, m.user_id, m.role, m.version, m.join_time, m.join_number,
       r.kind, r.title, r.create_time, r.owner_user_id, r.archive_time, p.user_low, p.user_high
FROM chat.membership m JOIN chat.room r USING (room_id) LEFT JOIN chat.direct_pair p USING (room_id)
WHERE m.state = 'joined' AND NOT EXISTS (
    SELECT FROM message.membership x
    WHERE x.room_id = m.room_id AND x.user_id = m.user_id AND x.left_sequence IS NULL)
ORDER BY m.room_id, m.join_number
"""

STILL_JOINED_IN_LOG = """
SELECT x.room_id, x.user_id FROM message.membership x JOIN chat.room r USING (room_id)
WHERE x.left_sequence IS NULL AND NOT EXISTS (
    SELECT FROM chat.membership m
    WHERE m.room_id = x.room_id AND m.user_id = x.user_id AND m.state = 'joined')
ORDER BY x.room_id, x.user_id
"""

OUTBOX = """
INSERT INTO chat.outbox (room_id, request_id, body_hash, event, reply_to, correlation)
VALUES (%s, %s, %s, %s, '', 0)
"""

USED_BY = """
SELECT count(*) AS others FROM pg_stat_activity
WHERE datname = current_database() AND usename LIKE 'polychat_%' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """The new epoch, and how many membership events were written again."""

    epoch: int
    events: int


async def begin_anew(dsn: str, log_ends: Mapping[int, int]) -> Begun:
    """Set a database that was put back apart from what came after it, in one transaction.

    `log_ends`: where each partition of Kafka's log ends now; what it holds is of the time that is undone.
    Raises StackError, also when something uses the database.
    """
    try:
        async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
            await _expect_alone(connection)
            epoch = await _new_epoch(connection)
            for partition, end in log_ends.items():
                await connection.execute(LOG_POSITION, (partition, end))
            return Begun(epoch, await _tell_memberships(connection))
    except psycopg.Error as error:
        raise StackError(f"Could not give the database its new epoch: {error}") from error


async def _expect_alone(connection: Connection) -> None:
    row = await (await connection.execute(USED_BY)).fetchone()
    if row is not None and row["others"]:
        raise StackError(
            f"{row['others']} connections of services use this database. Stop all services first: they would "
            "go on with what they remember."
        )


async def _new_epoch(connection: Connection) -> int:
    row = await (await connection.execute(NEW_EPOCH, (int(time.time() * 1000),))).fetchone()
    assert row is not None  # noqa: S101 (for the type checker: it was just inserted)
    await connection.execute(MARK_ROOMS, (row["epoch"],))
    return int(row["epoch"])


async def _tell_memberships(connection: Connection) -> int:
    """Make the log follow chat's memberships; gives the number of events that wait in the outbox for it.

    At the instant of the backup events may have left chat's outbox and not have reached the log: they were
    in Kafka, which is not in the backup. What waits in the outbox may build on them, so all are made anew.
    """
    await connection.execute("DELETE FROM chat.outbox")
    left = await (await connection.execute(STILL_JOINED_IN_LOG)).fetchall()
    joined = await (await connection.execute(NOT_JOINED_IN_LOG)).fetchall()
    events = [*_left(left), *_joined(joined)]
    for event in events:
        entry = membership_entry(event, uuid.uuid4().bytes)
        values = (entry.room_id, uuid.UUID(bytes=entry.request_key), entry.body_hash, entry.event)
        await connection.execute(OUTBOX, values)
    return len(events)


def _left(rows: list[DictRow]) -> Iterator[Event]:
    # Who did it is not in chat's tables.
    for row in rows:
        yield MemberLeft(row["room_id"], row["user_id"], row["user_id"], LeftReason.LEFT)


def _joined(rows: list[DictRow]) -> Iterator[Event]:
    for row in rows:
        pair = None if row["user_low"] is None else (row["user_low"], row["user_high"])
        room = Room(
            row["room_id"],
            RoomKind(row["kind"]),
            row["title"],
            row["create_time"],
            row["owner_user_id"],
            row["archive_time"],
            pair,
        )
        membership = Membership(
            row["room_id"],
            row["user_id"],
            Role(row["role"]),
            State.JOINED,
            row["version"],
            row["join_time"],
            row["join_number"],
        )
        yield MemberJoined(room, membership, row["user_id"])
