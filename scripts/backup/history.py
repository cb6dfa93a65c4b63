"""What a database that was set back needs before anything may run on it: a new epoch, a place in Kafka.

A restored database is older than what clients have seen and than what Kafka holds.
docs/decisions/0008-backup-and-restore.md has the argument.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import psycopg
from psycopg.rows import DictRow, dict_row

from chassis.restoring import MARK
from scripts.stack.errors import StackError

Connection = psycopg.AsyncConnection[DictRow]

# Also later than the newest: the clock of this machine may be behind that of the one before.
NEW_EPOCH = """
INSERT INTO message.log_epoch (epoch)
SELECT greatest(%s, coalesce(max(epoch), 0) + 1) FROM message.log_epoch
RETURNING epoch
"""

# A room of chat that has no log yet stands at 0: clients may have seen its first events.
MARK_ROOMS = """
INSERT INTO message.room_epoch (room_id, epoch, head_sequence)
SELECT room_id, %s, coalesce(h.head_sequence, 0)
FROM chat.room FULL JOIN message.room_head h USING (room_id)
"""

LOG_POSITION = """
INSERT INTO message.log_position (partition, next_offset, owner_epoch) VALUES (%s, %s, 1)
ON CONFLICT (partition) DO UPDATE SET
    next_offset = excluded.next_offset, anchor = '', commit_time = clock_timestamp(),
    owner_epoch = log_position.owner_epoch + 1
"""

USED_BY = """
SELECT count(*) AS others FROM pg_stat_activity
WHERE datname = current_database() AND usename LIKE 'polychat_%' AND pid <> pg_backend_pid()
"""


async def begin_anew(dsn: str, log_ends: Mapping[int, int]) -> int:
    """Set a database that was put back apart from what came after it, in one transaction; give its epoch.

    `log_ends`: where each partition of Kafka's log ends now; what it holds is of the time that is undone.
    From the commit on services may use it: the mark of an unfinished restore goes with it.
    Raises StackError, also when services use the database.
    """
    try:
        async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
            await _expect_alone(connection)
            epoch = await _new_epoch(connection)
            for partition, end in log_ends.items():
                await connection.execute(LOG_POSITION, (partition, end))
            await connection.execute(f"DROP TABLE IF EXISTS {MARK}")
            return epoch
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
