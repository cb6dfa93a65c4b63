"""What may befall PostgreSQL while a swarm sends: no `sent` without it, and it heals (I1)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from chassis.kafka import partition_of
from scripts.stack.layout import SERVICES
from tests.support.api import User
from tests.support.eventually import eventually
from tests.support.history import Kind
from tests.support.journal import Place
from tests.support.matrix import Matrix
from tests.support.outages import frozen
from tests.support.peer import Refused, signed_in
from tests.support.sight import sight, troubles_now
from tests.support.stack import Stack
from tests.support.swarm import Swarm
from tests.support.transports import open_json

FROZEN_SECONDS = 20.0
HELD_SECONDS = 15.0
SEND_SECONDS = 5.0
POOL_SECONDS = 2.0
"""In which a pool has new connections for those that were ended."""
POOL_CONNECTIONS = 10
WRITER_CONNECTIONS = 2
SEEN = "postgres"
HELD_TEXT = "behind a lock"
HELD_REQUEST = "0198c0de-0000-4000-8000-00000000010c"

Admin = psycopg.AsyncConnection[Any]

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def _admin(stack: Stack) -> AsyncIterator[Admin]:
    async with await psycopg.AsyncConnection.connect(stack.postgres_dsn, autocommit=True) as connection:
        yield connection


@pytest_asyncio.fixture
async def admin(own_stack: Stack) -> AsyncIterator[Admin]:
    """The administrator of the database to break."""
    async with _admin(own_stack) as connection:
        yield connection


async def _end_all_others(admin: Admin) -> None:
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


async def _connections(admin: Admin) -> dict[str, int]:
    """How many each of our processes has, by the name of its pool."""
    cursor = await admin.execute(
        "SELECT application_name, count(*) FROM pg_stat_activity"
        " WHERE usename LIKE 'polychat%' GROUP BY application_name"
    )
    return {str(name): int(count) for name, count in await cursor.fetchall()}


def _answered(swarm: Swarm, since: float) -> list[Place]:
    """Whose message, begun after this, was answered `sent`: what was begun before may be stored already."""
    return sorted(swarm.journal.first_answers(since))


async def test_pools_replace_connections_that_were_ended(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, admin: Admin
) -> None:
    """All at once, in the middle of transactions; no send needs longer than one with a look-up."""
    async with matrix.fault("postgres: every backend ended", swarm):
        await _end_all_others(admin)
        await swarm.everyone_sent(time.monotonic(), POOL_SECONDS + SEND_SECONDS)


@pytest.mark.long
async def test_a_frozen_postgres_is_seen_and_leaks_no_connection(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """No `sent` meanwhile; afterwards no pool has more than its size, and nothing was dropped unread."""
    logs = [own_stack.data / "logs" / f"{service}.log" for service in SERVICES]
    sizes = [log.stat().st_size for log in logs]
    async with matrix.fault(f"postgres frozen {FROZEN_SECONDS:.0f} s", swarm), sight(own_stack) as seen:
        with frozen(own_stack, "postgres"):
            began = time.monotonic()
            await seen.everything(metric='problem{check="postgres"}', log=SEEN, trouble="/postgres")
            since = time.monotonic()
            await asyncio.sleep(max(0.0, began + FROZEN_SECONDS - time.monotonic()))
            assert _answered(swarm, since) == []
    async with _admin(own_stack) as admin:

        async def none_leaked() -> bool:
            found = await _connections(admin)
            return all(count <= _size(pool) for pool, count in found.items())

        await eventually(none_leaked, what="pools of their size")
    written = "".join(log.read_text()[size:] for log, size in zip(logs, sizes, strict=True))
    assert "never retrieved" not in written


def _size(pool: str) -> int:
    return WRITER_CONNECTIONS if pool.endswith("-write") else POOL_CONNECTIONS


async def test_without_a_free_connection_answers_say_so(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, admin: Admin
) -> None:
    """The server lets nobody in any more and all who were in are out."""
    async with matrix.fault("postgres: no connection to be had", swarm), sight(own_stack) as seen:
        await _let_in(admin, 0)
        try:
            await _end_all_others(admin)
            await eventually(lambda: _all_out(admin), what="the end of every connection")
            began = time.monotonic()
            await seen.everything(metric='problem{check="postgres"}', log=SEEN, trouble="/postgres")
            assert _answered(swarm, began) == []
        finally:
            await _let_in(admin, -1)


async def _all_out(admin: Admin) -> bool:
    return not await _connections(admin)


async def _let_in(admin: Admin, connections: int) -> None:
    for service in SERVICES:
        await admin.execute(f"ALTER ROLE polychat_{service} CONNECTION LIMIT {connections}")


async def test_a_read_only_postgres_stores_nothing_and_says_so(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, admin: Admin
) -> None:
    """As after a failover to a replica: no `sent`, typed errors, seen, and over when it is over."""
    async with matrix.fault("postgres read-only", swarm), sight(own_stack) as seen:
        await _read_only(admin, "on")
        try:
            await seen.everything(
                metric='problem{check="postgres"}', log="read-only", trouble="/postgres.*read-only"
            )
            began = time.monotonic()
            await eventually(lambda: _given_up(swarm, began), what="a send whose outcome is not known")
            assert _answered(swarm, began) == []
        finally:
            await _read_only(admin, "off")


async def _given_up(swarm: Swarm, since: float) -> bool:
    return swarm.journal.count(since, time.monotonic())[Kind.UNKNOWN] > 0


async def _read_only(admin: Admin, value: str) -> None:
    await admin.execute("SET default_transaction_read_only = off")
    await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await admin.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("rows", ["room_head", pytest.param("log_position", marks=pytest.mark.long)])
async def test_a_held_lock_holds_up_its_own_partition_only(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, rows: str
) -> None:
    """An open transaction holds a row of one room: that room gets its definite answer, the others go on."""
    anna = await swarm.api.register("anna")
    room = await _apart(swarm, anna)
    fault = matrix.fault(f"postgres: {rows} locked {HELD_SECONDS:.0f} s", swarm)
    async with fault, sight(own_stack) as seen, _locked(own_stack, rows, room):
        held = time.monotonic()
        send = asyncio.create_task(_one_send(own_stack, anna, room))
        await seen.everything(metric="partitions_set_aside", log="set_aside", trouble="message/partitions")
        await swarm.everyone_sent(time.monotonic(), SEND_SECONDS)
        assert await send == "OUTCOME_UNKNOWN"
        while time.monotonic() < held + HELD_SECONDS:
            await swarm.everyone_sent(time.monotonic(), SEND_SECONDS)
    assert (await swarm.api.send(anna, room, HELD_TEXT, HELD_REQUEST))["duplicate"]
    await eventually(lambda: _no_trouble(own_stack), what="message with all its partitions")


async def _apart(swarm: Swarm, owner: User) -> int:
    """A room in a partition that the swarm has no room in."""
    taken = {partition_of(room) for room in swarm.rooms}
    while partition_of(room := await swarm.api.create_room(owner)) in taken:
        pass
    return room


async def _no_trouble(stack: Stack) -> bool:
    return not await troubles_now(stack)


async def _one_send(stack: Stack, user: User, room: int) -> str:
    """Gives the reason for which it was not `sent`."""
    async with signed_in(await open_json(stack.ws_url), user.access_token) as peer:
        with pytest.raises(Refused) as refused:
            await peer.send(room, HELD_TEXT, HELD_REQUEST)
    return refused.value.reason


@asynccontextmanager
async def _locked(stack: Stack, rows: str, room: int) -> AsyncIterator[None]:
    """Rows of the room, or the position of its partition, locked by a transaction that does nothing."""
    where = {
        "room_head": "SELECT 1 FROM message.room_head WHERE room_id = %(room)s FOR UPDATE",
        "log_position": "SELECT 1 FROM message.log_position WHERE partition = %(partition)s FOR UPDATE",
    }
    async with _admin(stack) as connection, connection.transaction(force_rollback=True):
        cursor = await connection.execute(where[rows], {"room": room, "partition": partition_of(room)})
        assert cursor.rowcount == 1
        yield


async def test_after_all_that_befell_postgres_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """As after the kills."""
    await matrix.judge(swarm)
