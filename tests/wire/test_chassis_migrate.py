"""Migrations on a real PostgreSQL: fresh, repeated, at once, in phases, broken."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError

import chassis.migrate as module
from chassis.migrate import LOCK_KEY, MigrationBlockedError, migrate
from chassis.restoring import MARK, UnfinishedRestoreError
from scripts.stack.provision_postgres import with_database
from tests.support.stack import Stack, drop_database, make_database
from tests.support.tracked import ROOT

REVISION = '''"""{name}"""
from alembic import op
revision = "{number}"
down_revision = {down}
def upgrade():
    op.execute("""{sql}""")
def downgrade():
    raise NotImplementedError
'''
numbers = itertools.count(1)
AddRevision = Callable[[str, str], None]


@pytest.fixture
def dsn(parts: Stack) -> Iterator[str]:
    """An empty database with the schema and role of chat."""
    name = f"test_migrate_{os.getpid()}_{next(numbers)}"
    yield make_database(parts.postgres_dsn, name, "chat", parts.secret("postgres-chat.password"))
    drop_database(parts.postgres_dsn, name)


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddRevision:
    """Adds a revision to a service of this test, `made.chat`: its kind and its SQL."""
    folder = tmp_path / "made" / "chat" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "made" / "__init__.py").touch()
    (tmp_path / "made" / "chat" / "__init__.py").touch()
    for name in ("made", "made.chat"):
        sys.modules.pop(name, None)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    made: list[str] = []

    def add(kind: str, sql: str) -> None:
        number = f"{len(made) + 1:04}"
        down = repr(made[-1]) if made else "None"
        text = REVISION.format(name=f"{kind} {number}", number=number, down=down, sql=sql)
        (folder / f"{number}_{kind}_step.py").write_text(text)
        made.append(number)

    return add


def tables(dsn: str) -> list[str]:
    """What the schema holds, but for alembic's own table."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'chat' AND tablename <> 'schema_version'"
            " ORDER BY tablename"
        )
        return [row[0] for row in rows]


def test_only_a_restore_migrates_a_database_that_it_has_not_finished(
    parts: Stack, dsn: str, add: AddRevision
) -> None:
    """`up` and a deploy end here; the restore itself needs the newest schema for its last step."""
    add("pre", "CREATE TABLE chat.thing (id bigint)")
    owner = with_database(parts.postgres_dsn, dsn.rpartition("/")[2])
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {MARK} ()")
        with pytest.raises(UnfinishedRestoreError, match="run `polychat restore` again"):
            migrate(dsn, "made.chat")
        assert tables(dsn) == []
        assert migrate(dsn, "made.chat", restoring=True) == ["0001"]


@pytest.mark.parametrize("service", ["auth", "user", "chat", "message"])
def test_a_fresh_schema_gets_everything_and_a_repeat_nothing(parts: Stack, service: str) -> None:
    """Of every service, by its own role, which may do nothing elsewhere."""
    name = f"test_migrate_{service}_{os.getpid()}"
    dsn = make_database(parts.postgres_dsn, name, service, parts.secret(f"postgres-{service}.password"))
    try:
        assert migrate(dsn, f"services.{service}")[0].startswith("0001")
        assert migrate(dsn, f"services.{service}") == []
    finally:
        drop_database(parts.postgres_dsn, name)


def test_only_what_is_missing_runs(dsn: str, add: AddRevision) -> None:
    """In the order of the chain."""
    add("pre", "CREATE TABLE a (id int)")
    assert migrate(dsn, "made.chat") == ["0001"]
    add("pre", "CREATE TABLE b (id int)")
    add("pre", "ALTER TABLE b ADD c int")
    assert migrate(dsn, "made.chat") == ["0002", "0003"]
    assert tables(dsn) == ["a", "b"]


def test_two_at_once_do_the_work_once(dsn: str, add: AddRevision) -> None:
    """The second waits for the lock, then finds nothing to do."""
    add("pre", "CREATE TABLE a (id int)")
    ran: list[list[str]] = []
    both = [threading.Thread(target=lambda: ran.append(migrate(dsn, "made.chat"))) for _ in range(2)]
    with psycopg.connect(dsn, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s, hashtext('chat'))", (LOCK_KEY,))
        for thread in both:
            thread.start()
        while waiting(holder) < 2:
            assert all(thread.is_alive() for thread in both)
        assert (ran, tables(dsn)) == ([], [])
    for thread in both:
        thread.join(20)
    assert sorted(ran) == [[], ["0001"]]


def waiting(connection: psycopg.Connection[tuple[int]]) -> int:
    """How many wait for the lock in this database."""
    row = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    assert row is not None
    return row[0]


def test_another_schemas_migration_does_not_wait(dsn: str, add: AddRevision) -> None:
    """The lock is one of the schema."""
    add("pre", "CREATE TABLE a (id int)")
    with psycopg.connect(dsn, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s, hashtext('user'))", (LOCK_KEY,))
        assert migrate(dsn, "made.chat") == ["0001"]


def test_a_migration_that_hangs_is_not_waited_for_without_end(
    dsn: str, add: AddRevision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the lock and goes on: a sentence, and nothing was done."""
    monkeypatch.setattr(module, "OTHER_MIGRATION_SECONDS", 0.2)
    add("pre", "CREATE TABLE a (id int)")
    with psycopg.connect(dsn, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s, hashtext('chat'))", (LOCK_KEY,))
        with pytest.raises(MigrationBlockedError, match=r"chat is being migrated .* 0\.2 s"):
            migrate(dsn, "made.chat")
        assert tables(dsn) == []
    assert migrate(dsn, "made.chat") == ["0001"]


def test_a_table_in_use_does_not_hold_up_everybody(
    dsn: str, add: AddRevision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes after a waiting ALTER TABLE waits for it, too: so it gives up, and may be repeated."""
    monkeypatch.setattr(module, "TABLE_LOCK_SECONDS", 0.2)
    add("pre", "CREATE TABLE a (id int)")
    assert migrate(dsn, "made.chat") == ["0001"]
    add("pre", "ALTER TABLE a ADD b int")
    with psycopg.connect(dsn) as reader:
        reader.execute("SELECT FROM a")
        with pytest.raises(MigrationBlockedError, match=r"chat .* in use, .* 0\.2 s.*again"):
            migrate(dsn, "made.chat")
    assert migrate(dsn, "made.chat") == ["0002"]


def test_waiting_for_another_migration_has_a_bound_of_its_own(
    dsn: str, add: AddRevision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the one for a table: the other one has work to do."""
    monkeypatch.setattr(module, "TABLE_LOCK_SECONDS", 0.001)
    add("pre", "CREATE TABLE a (id int)")
    ran: list[list[str]] = []
    with psycopg.connect(dsn, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s, hashtext('chat'))", (LOCK_KEY,))
        thread = threading.Thread(target=lambda: ran.append(migrate(dsn, "made.chat")))
        thread.start()
        while waiting(holder) < 1:
            assert thread.is_alive()
    thread.join(20)
    assert ran == [["0001"]]


def test_pre_before_the_code_post_after_it(dsn: str, add: AddRevision) -> None:
    """What takes away waits until the old code is gone; a release later all of it is before."""
    add("pre", "CREATE TABLE a (id int, old int)")
    add("post", "ALTER TABLE a DROP old")
    assert migrate(dsn, "made.chat", "pre") == ["0001"]
    assert migrate(dsn, "made.chat", "pre") == []
    assert migrate(dsn, "made.chat", "post") == ["0002"]
    assert migrate(dsn, "made.chat", "pre") == []
    add("pre", "CREATE TABLE b (id int)")
    add("post", "DROP TABLE a")
    assert migrate(dsn, "made.chat", "pre") == ["0003"]
    assert migrate(dsn, "made.chat", "all") == ["0004"]


def test_post_alone_is_not_run_before(dsn: str, add: AddRevision) -> None:
    """A chain without any `pre` has nothing to do then."""
    add("post", "CREATE TABLE a (id int)")
    assert migrate(dsn, "made.chat", "pre") == []
    assert tables(dsn) == []


def test_a_step_that_breaks_leaves_nothing(dsn: str, add: AddRevision) -> None:
    """Neither its first half nor the steps before it in the run; the lock is free and a repeat works."""
    add("pre", "CREATE TABLE a (id int)")
    assert migrate(dsn, "made.chat") == ["0001"]
    add("pre", "CREATE TABLE b (id int)")
    add("pre", "CREATE TABLE c (id int); INSERT INTO nowhere VALUES (1)")
    with pytest.raises(SQLAlchemyError, match="nowhere"):
        migrate(dsn, "made.chat")
    assert tables(dsn) == ["a"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE nowhere (id int)")
    assert migrate(dsn, "made.chat") == ["0002", "0003"]


def command(dsn: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "POLYCHAT_POSTGRES_DSN"}
    if dsn is not None:
        environment["POLYCHAT_POSTGRES_DSN"] = dsn
    return subprocess.run(
        [sys.executable, "-m", "chassis.migrate", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_says_what_ran(dsn: str) -> None:
    """And that nothing did."""
    first, again = command(dsn, "services.chat"), command(dsn, "services.chat", "--phase", "pre")
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert first.stdout.startswith("services.chat: 0001")
    assert again.stdout == "services.chat: up to date\n"


def test_the_command_says_what_is_in_the_way(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence and a failure, no traceback."""
    monkeypatch.setattr(module, "OTHER_MIGRATION_SECONDS", 0.1)
    monkeypatch.setenv("POLYCHAT_POSTGRES_DSN", dsn)
    monkeypatch.setattr(sys, "argv", ["migrate", "services.chat"])
    with psycopg.connect(dsn, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s, hashtext('chat'))", (LOCK_KEY,))
        with pytest.raises(SystemExit, match="chat is being migrated"):
            module.main()


def test_the_command_needs_its_address() -> None:
    """It says how it is given."""
    done = command(None, "services.chat")
    assert done.returncode != 0
    assert "POLYCHAT_POSTGRES_DSN is not set" in done.stderr
