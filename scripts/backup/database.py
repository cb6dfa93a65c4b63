"""The database of a backup: written and read by PostgreSQL's own pg_dump and pg_restore, from the wheel."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chassis.restoring import IS_MARKED, MARK
from scripts.stack.errors import StackError
from scripts.stack.layout import ROOT, SERVICES
from scripts.stack.postgres import binary
from scripts.stack.provision_postgres import empty_schemas
from scripts.stack.tools import run_tool

DUMP = "database.dump"

# A dump waits for a migration that holds a table; nothing of ours holds one longer.
LOCK_WAIT = "30s"

# A day: a dump that takes longer should be a base backup (docs/decisions/0008-backup-and-restore.md).
MOST_SECONDS = 86_400.0

COUNTED = {
    "users": ("auth", "account"),
    "rooms": ("chat", "room"),
    "events": ("message", "room_event"),
    "messages": ("message", "message"),
    "receipts": ("message", "receipt"),
}


@dataclass(frozen=True, slots=True)
class Instant:
    """A snapshot that other connections can see too, and what was counted in it."""

    snapshot: str
    postgres: str
    schemas: Mapping[str, str]
    counts: Mapping[str, int]


@asynccontextmanager
async def one_instant(dsn: str) -> AsyncIterator[Instant]:
    """All schemas at one instant, for as long as the block lasts. Raises StackError."""
    try:
        async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=10) as connection:
            await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            await connection.set_read_only(True)
            row = await (await connection.execute("SELECT pg_export_snapshot()")).fetchone()
            assert row is not None  # noqa: S101 (for the type checker: a function gives a row)
            version = f"{connection.info.server_version // 10_000}"
            yield Instant(row[0], version, await _schemas(connection), await counts(connection))
    except psycopg.Error as error:
        raise StackError(f"Could not read the database: {error}") from error


async def counts(connection: psycopg.AsyncConnection) -> dict[str, int]:
    """Rows of the tables that a person would ask for."""
    found = {}
    for name, table in COUNTED.items():
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table))
        row = await (await connection.execute(query)).fetchone()
        found[name] = row[0] if row else 0
    return found


async def _schemas(connection: psycopg.AsyncConnection) -> dict[str, str]:
    found = {}
    for service in SERVICES:
        query = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(service, "schema_version"))
        row = await (await connection.execute(query)).fetchone()
        found[service] = row[0] if row else ""
    return found


async def dump(dsn: str, instant: Instant, folder: Path) -> None:
    """Write the schemas of all services as they were at the instant. Raises StackError."""
    schemas = [f"--schema={service}" for service in SERVICES]
    target = folder / DUMP
    options = ("--format=custom", f"--file={target}", f"--lock-wait-timeout={LOCK_WAIT}", "--no-password")
    await _run("pg_dump", dsn, *options, f"--snapshot={instant.snapshot}", *schemas, what="dump the database")
    target.chmod(0o600)


async def readable(folder: Path) -> None:
    """Decode all of a dump and throw it away; raise StackError when it cannot be."""
    command = (binary("pg_restore"), f"--file={os.devnull}", folder / DUMP)
    await run_tool(command, what="read the dump again", cwd=ROOT, seconds=MOST_SECONDS)


async def load(dsn: str, folder: Path, scratch: Path) -> None:
    """Put a dump into the schemas of all services, which must be empty; all or nothing. Raises StackError.

    Before anything is in it the database gets a mark, and nothing runs on it until `begin_anew` removes it.
    What an earlier restore loaded and did not finish is thrown away.
    """
    await _mark(dsn)
    listing = await run_tool(
        (binary("pg_restore"), "--list", folder / DUMP), what="list the backup", cwd=ROOT
    )
    # The schemas are there, with their rights, and only a superuser could give them to their roles anew.
    wanted = [line for line in listing.splitlines() if " SCHEMA - " not in line]
    chosen = scratch / "restore.list"
    chosen.write_text("\n".join(wanted) + "\n")
    options = ("--single-transaction", "--exit-on-error", "--no-password", f"--use-list={chosen}")
    await _run("pg_restore", dsn, *options, str(folder / DUMP), what="load the database")


async def _mark(dsn: str) -> None:
    try:
        async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=10) as connection:
            if await (await connection.execute(IS_MARKED)).fetchone() == (True,):
                await _expect_no_other(connection)
                await empty_schemas(connection)
            else:
                await _expect_empty(connection)
                await connection.execute(f"CREATE TABLE {MARK} ()")
    except psycopg.Error as error:
        raise StackError(f"Could not prepare the database to be restored into: {error}") from error


async def _expect_no_other(connection: psycopg.AsyncConnection) -> None:
    query = """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'pg_restore'"""
    if await (await connection.execute(query)).fetchone() != (0,):
        raise StackError("Another restore loads this database at the moment: wait for its end.")


async def _expect_empty(connection: psycopg.AsyncConnection) -> None:
    query = "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text = ANY (%s)"
    names = [f'"{service}"' if service == "user" else service for service in SERVICES]
    if await (await connection.execute(query, (names,))).fetchone() != (0,):
        raise StackError(
            f"The database on {connection.info.host} is not empty. Restore into a new one: stop everything "
            "that uses it, and rename or drop the database `polychat` first."
        )


async def _run(program: str, dsn: str, *options: str, what: str) -> None:
    login = conninfo_to_dict(dsn)
    # Arguments can be seen by every user of the machine.
    password = str(login.pop("password", "") or "")
    where = make_conninfo("", **login)
    env = {**os.environ, "PGPASSWORD": password}
    command: list[str | Path] = [binary(program), *options, f"--dbname={where}"]
    await run_tool(command, what=what, cwd=ROOT, env=env, seconds=MOST_SECONDS)
