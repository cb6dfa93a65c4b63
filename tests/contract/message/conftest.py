"""The log on both of its stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from polychat.event.v1.room_event_pb2 import RoomEvent

from chassis.postgres import open_pool
from services.message.domain import EVERYTHING
from services.message.memory import MemoryLog
from services.message.ports import LogReader, LogWriter, Page, ReceiptStore
from services.message.store import PostgresLogReader, PostgresLogWriter, PostgresReceipts
from services.message.use_cases.sequencing import Result, Sequencer
from tests.support.room_log import Tape

PARTITION = 5


class Clock:
    """Milliseconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class World:
    """The three ports on one store, and a writer of one partition's tape."""

    writer: LogWriter
    reader: LogReader
    receipts: ReceiptStore
    clock: Clock
    tape: Tape
    pool: Any = None
    """The PostgreSQL pool, None in memory."""

    async def owner(self) -> Sequencer:
        """A new instance that owns the partition."""
        sequencer = Sequencer(self.writer, self.clock)
        await sequencer.claim([self.tape.partition])
        return sequencer

    async def write(self, sequencer: Sequencer, stop: int | None = None) -> Result:
        """Commits what is on the tape and not in the log, as one batch."""
        partition = self.tape.partition
        start = sequencer.positions[partition].next_offset
        return await sequencer.process({partition: self.tape.batch(start, stop)})

    async def restored(self, epoch: int, heads: Mapping[int, int]) -> None:
        """Leaves the mark of a restore: the heads that the backup had."""
        if isinstance(self.reader, MemoryLog):
            self.reader.room_epoch[epoch] = dict(heads)
            return
        await self.pool.execute("INSERT INTO log_epoch VALUES ($1)", epoch)
        rows = [(room_id, epoch, head) for room_id, head in heads.items()]
        await self.pool.executemany("INSERT INTO room_epoch VALUES ($1, $2, $3)", rows)


def ends(result: Result) -> list[tuple[str, int, str]]:
    """How the records of a result ended."""
    return [(o.disposition.name, o.sequence, o.reason) for plan in result.committed for o in plan.outcomes]


async def events_of(world: World, room_id: int) -> list[RoomEvent]:
    """The stored events of a room."""
    found = await world.reader.events(room_id, EVERYTHING, Page(0, True, 1000))
    return [RoomEvent.FromString(event.payload) for event in found]


TABLES = (
    "log_position, room_head, room_event, request, message, membership, receipt, dead_letter, room_epoch, "
    "log_epoch"
)


@asynccontextmanager
async def postgres_world(dsn: str, tape: Tape) -> AsyncIterator[World]:
    """An empty log on PostgreSQL; locks are waited for as short as in the service."""
    async with open_pool(dsn, size=4, application_name="test", lock_timeout_millis=100) as pool:
        await pool.execute(f"TRUNCATE {TABLES}")
        yield World(
            PostgresLogWriter(pool), PostgresLogReader(pool), PostgresReceipts(pool), Clock(), tape, pool
        )


@pytest.fixture(scope="session")
def message_dsn(postgres_dsn: Callable[[str], str]) -> str:
    """One migrated database for all tests of this folder."""
    return postgres_dsn("message")


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """An empty log."""
    tape = Tape(PARTITION)
    if request.param == "memory":
        log = MemoryLog()
        yield World(log, log, log, Clock(), tape)
        return
    async with postgres_world(request.getfixturevalue("message_dsn"), tape) as made:
        yield made


@pytest.fixture
async def on_postgres(message_dsn: str) -> AsyncIterator[World]:
    """An empty log on PostgreSQL, for what only a database does."""
    async with postgres_world(message_dsn, Tape(PARTITION)) as made:
        yield made
