"""Faults of PostgreSQL while it runs: sessions ended, locks held, writes refused, connections refused."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import sql

from tests.nemesis.fault import Fault, Inject, World

ROLES = ("polychat_auth", "polychat_user", "polychat_chat", "polychat_message")
LOCKED = {
    "room heads": "SELECT FROM message.room_head FOR UPDATE",
    "log positions": "SELECT FROM message.log_position FOR UPDATE",
    "memberships": "SELECT FROM chat.membership FOR UPDATE",
    "the outbox": "LOCK TABLE chat.outbox IN ACCESS EXCLUSIVE MODE",
    "sessions": "SELECT FROM auth.session FOR UPDATE",
}
END_ALL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND (%(role)s = '' OR usename = %(role)s)
"""


def postgres_faults() -> list[Fault]:
    """Of the whole server; all are over when the server is restarted as well."""
    return [
        Fault("end all sessions of postgres", "postgres", _end_sessions),
        Fault("read-only postgres", "postgres", _read_only, (2.0, 10.0)),
        Fault("no connections to postgres", "postgres", _no_connections, (2.0, 10.0)),
        *(Fault(f"lock {name}", "postgres", _locks(query), (1.0, 10.0)) for name, query in LOCKED.items()),
    ]


@asynccontextmanager
async def _admin(world: World) -> AsyncIterator[psycopg.AsyncConnection]:
    dsn = world.stack.postgres_dsn
    options = "-c default_transaction_read_only=off"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, options=options) as connection:
        yield connection


async def _end_sessions(world: World, _seconds: float, _chance: random.Random) -> None:
    async with _admin(world) as connection:
        await connection.execute(END_ALL, {"role": ""})


async def _read_only(world: World, seconds: float, _chance: random.Random) -> None:
    async with _admin(world) as connection:
        await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await connection.execute("SELECT pg_reload_conf()")
        try:
            await asyncio.sleep(seconds)
        finally:
            await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await connection.execute("SELECT pg_reload_conf()")


async def _no_connections(world: World, seconds: float, chance: random.Random) -> None:
    """A role's sessions end, and none can be opened for a while."""
    role = chance.choice(ROLES)
    limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}")
    async with _admin(world) as connection:
        await connection.execute(limit.format(sql.Identifier(role), sql.Literal(0)))
        try:
            await connection.execute(END_ALL, {"role": role})
            await asyncio.sleep(seconds)
        finally:
            await connection.execute(limit.format(sql.Identifier(role), sql.Literal(-1)))


def _locks(query: str) -> Inject:
    async def lock(world: World, seconds: float, _chance: random.Random) -> None:
        async with _admin(world) as connection, connection.transaction():
            await connection.execute(query)
            await asyncio.sleep(seconds)

    return lock
