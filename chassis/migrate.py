"""Migrations of one service: alembic revisions in plain SQL, forward only, one at a time.

    python -m chassis.migrate services.chat [--phase pre|post|all]

Revisions live in `services/<name>/migrations/NNNN_<pre|post>_<what>.py`; `pre` ones run before the new
code starts, `post` ones after the old code is gone. The schema is the service's name, the role its owner.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import psycopg.errors
import sqlalchemy
import sqlalchemy.exc
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, make_url

from chassis.restoring import IS_MARKED, UnfinishedRestoreError

LOCK_KEY = 0x706F6C79
"""Advisory lock that every migrating process of a service takes (with the schema's hash beside it)."""
OTHER_MIGRATION_SECONDS = 120.0
"""How long another migration of the service is waited for."""
TABLE_LOCK_SECONDS = 5.0
"""How long a step waits for a table that is in use: everybody who comes after it waits behind it."""
PHASES = ("pre", "post", "all")


class MigrationBlockedError(Exception):
    """Somebody held what the migration needs for too long; nothing was changed. The text says what to do."""


def migrate(dsn: str, package: str, phase: str = "all", *, restoring: bool = False) -> list[str]:
    """Runs what is missing and gives the revisions that ran. The DSN is that of the schema's owner.

    Raises MigrationBlockedError when another migration, or whoever uses a table, does not end in time, and
    UnfinishedRestoreError unless the caller says that it is `restoring`.
    """
    schema = package.rpartition(".")[2]
    script = _script(package)
    url = make_url(dsn).set(drivername="postgresql+psycopg")
    ran: list[str] = []
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        if not restoring and connection.scalar(sqlalchemy.text(IS_MARKED)):
            raise UnfinishedRestoreError
        with _waiting(connection, OTHER_MIGRATION_SECONDS, f"{schema} is being migrated by somebody else"):
            lock = sqlalchemy.text("SELECT pg_advisory_lock(:key, hashtext(:schema))")
            connection.execute(lock, {"key": LOCK_KEY, "schema": schema})
            connection.commit()
        with _waiting(
            connection, TABLE_LOCK_SECONDS, f"a table that a migration of {schema} changes is in use"
        ):
            _upgrade(connection, script, schema, phase, ran)
    engine.dispose()
    return ran


@contextmanager
def _waiting(connection: Connection, seconds: float, held: str) -> Iterator[None]:
    """Bounds every wait for a lock within the block; MigrationBlockedError then says what is `held`."""
    bound = sqlalchemy.text("SELECT set_config('lock_timeout', :milliseconds, false)")
    connection.execute(bound, {"milliseconds": str(round(seconds * 1000))})
    connection.commit()
    try:
        yield
    except sqlalchemy.exc.OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        raise MigrationBlockedError(
            f"{held}, for more than {seconds:g} s. Nothing was changed: see in pg_stat_activity who it is, "
            "end that or wait for it, and migrate again."
        ) from error


def _script(package: str) -> ScriptDirectory:
    folder = Path(str(resources.files(package))) / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


def _upgrade(
    connection: Connection, script: ScriptDirectory, schema: str, phase: str, ran: list[str]
) -> None:
    def pending(current: object, _context: object) -> object:
        # What alembic's own `upgrade` command does; it offers no public name for it.
        steps = script._upgrade_revs(_target(script, phase), current)  # type: ignore[arg-type]  # noqa: SLF001
        ran.extend(step.revision.revision for step in steps)
        return steps

    with EnvironmentContext(Config(), script, fn=pending) as context:
        context.configure(
            connection=connection,
            version_table="schema_version",
            version_table_schema=schema,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            context.run_migrations()


def _target(script: ScriptDirectory, phase: str) -> str:
    """The last revision of a phase: `pre` stops before the first `post` of the newest release."""
    if phase != "pre":
        return "heads"
    revisions = list(script.walk_revisions())
    for revision in revisions:
        if "_pre_" in Path(revision.path).name:
            return revision.revision
    return "base"


def main() -> None:
    """The command line; exit code 2 when it is used wrongly."""
    parser = argparse.ArgumentParser(prog="python -m chassis.migrate", description=__doc__)
    parser.add_argument("package", help="such as services.chat")
    parser.add_argument("--phase", choices=PHASES, default="all")
    arguments = parser.parse_args()
    dsn = os.environ.get("POLYCHAT_POSTGRES_DSN")
    if not dsn:
        sys.exit("POLYCHAT_POSTGRES_DSN is not set: postgresql://role:password@host:port/database")
    try:
        ran = migrate(dsn, arguments.package, arguments.phase)
    except (MigrationBlockedError, UnfinishedRestoreError) as error:
        sys.exit(str(error))
    print(f"{arguments.package}: {', '.join(ran) if ran else 'up to date'}")  # noqa: T201 — a command's answer


if __name__ == "__main__":
    main()
