"""The pool on a real PostgreSQL: every wait has an end, and what ends it has our name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest

from chassis import postgres
from chassis.errors import BackendUnavailable
from chassis.postgres import Pool, acquire, check, open_pool, store_errors, transaction
from chassis.restoring import MARK, UnfinishedRestoreError
from scripts.stack.provision_postgres import with_database
from tests.support.eventually import eventually
from tests.support.free_port import free_port
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def dsn(postgres_dsn: Callable[[str], str]) -> str:
    """A database of this module."""
    return postgres_dsn("chat")


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """Two connections at most; a lock is waited for 0.3 s."""
    async with open_pool(dsn, size=2, application_name="pool-test", lock_timeout_millis=300) as pool:
        await pool.execute("DROP TABLE IF EXISTS thing")
        await pool.execute("CREATE TABLE thing (id bigint PRIMARY KEY, name text)")
        yield pool


async def refused(dsn: str) -> BackendUnavailable:
    """What opening a pool fails with, soon."""
    async with asyncio.timeout(8):
        with pytest.raises(BackendUnavailable) as caught:
            async with open_pool(dsn, size=1, application_name="pool-test"):
                pass
    return caught.value


async def test_a_wrong_password_is_told_at_the_start(dsn: str) -> None:
    """With PostgreSQL's own words as the cause, for the log."""
    scheme, _, rest = dsn.partition("://")
    role, _, place = rest.partition(":")
    failure = await refused(f"{scheme}://{role}:wrong@{place.partition('@')[2]}")
    assert failure.metadata == {"backend": "postgres"}
    assert isinstance(failure.__cause__, asyncpg.InvalidPasswordError)


async def test_a_missing_database(dsn: str) -> None:
    """The same."""
    assert isinstance((await refused(dsn + "_gone")).__cause__, asyncpg.InvalidCatalogNameError)


async def test_a_database_that_a_restore_has_not_finished_is_not_used(dsn: str, parts: Stack) -> None:
    """What is in it is older than what clients have seen, and they would not be told."""
    owner = with_database(parts.postgres_dsn, dsn.rpartition("/")[2])
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {MARK} ()")
        try:
            with pytest.raises(UnfinishedRestoreError, match="run `polychat restore` again"):
                async with open_pool(dsn, size=1, application_name="pool-test"):
                    raise AssertionError
        finally:
            connection.execute(f"DROP TABLE {MARK}")


async def test_nobody_listens() -> None:
    """Refused connections."""
    await refused(f"postgresql://role:x@127.0.0.1:{free_port()}/polychat")


async def test_somebody_listens_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs costs the connect timeout and no more."""
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 0.3)
    port = free_port()
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", port)
    try:
        await refused(f"postgresql://role:x@127.0.0.1:{port}/polychat")
    finally:
        silent.close()


async def test_a_lock_that_is_held_is_not_waited_for_long(pool: Pool) -> None:
    """Lock timeout, not a hang; the transaction is rolled back and its connection is good again."""
    await pool.execute("INSERT INTO thing VALUES (1, 'one')")
    async with transaction(pool) as holder:
        await holder.execute("SELECT FROM thing WHERE id = 1 FOR UPDATE")
        with pytest.raises(BackendUnavailable) as caught:
            await _insert_and_update(pool)
        assert isinstance(caught.value.__cause__, asyncpg.LockNotAvailableError)
    assert await pool.fetchval("SELECT array_agg(name) FROM thing") == ["one"]


async def _insert_and_update(pool: Pool) -> None:
    async with transaction(pool) as connection:
        await connection.execute("INSERT INTO thing VALUES (2, 'two')")
        await connection.execute("UPDATE thing SET name = 'x' WHERE id = 1")


async def test_a_statement_that_takes_too_long_is_cut(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the server as well: nothing goes on behind it."""
    monkeypatch.setattr(postgres, "COMMAND_SECONDS", 0.3)
    async with open_pool(dsn, size=2, application_name="pool-slow") as pool:
        with pytest.raises(BackendUnavailable):
            async with acquire(pool) as connection:
                await connection.execute("SELECT pg_sleep(60)")
        async with acquire(pool) as connection:
            running = (
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active'"
            )
            assert await connection.fetchval(running + " AND pid <> pg_backend_pid()") == 0


async def test_who_is_cancelled_keeps_no_connection(dsn: str) -> None:
    """What it had asked for is ended on the server, and the pool's only connection is there for the next."""
    async with open_pool(dsn, size=1, application_name="pool-cancelled") as pool:
        asked = asyncio.Event()

        async def caller() -> None:
            async with transaction(pool) as connection:
                asked.set()
                await connection.execute("SELECT pg_sleep(60)")

        task = asyncio.create_task(caller())
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        async with acquire(pool) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_server_that_falls_silent_in_a_transaction(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wait for the statement and none for a ROLLBACK; once the server is back so is the pool."""
    monkeypatch.setattr(postgres, "COMMAND_SECONDS", 1.0)
    async with relay(dsn) as (through, flowing), open_pool(through, size=1, application_name="mute") as pool:
        began = asyncio.get_running_loop().time()
        with pytest.raises(BackendUnavailable):
            await _ask_into_silence(pool, flowing)
        assert asyncio.get_running_loop().time() - began < 2 * postgres.COMMAND_SECONDS
        flowing.set()
        async with transaction(pool) as connection:
            assert await connection.fetchval("SELECT 2") == 2


async def _ask_into_silence(pool: Pool, flowing: asyncio.Event) -> None:
    async with transaction(pool) as connection:
        flowing.clear()
        await connection.execute("SELECT 1")


@asynccontextmanager
async def relay(dsn: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to the server on which nothing gets through while the event is clear. Gives the DSN of it."""
    flowing, port = asyncio.Event(), free_port()
    flowing.set()
    start, _, place = dsn.rpartition("@")
    host, _, rest = place.partition(":")
    there, _, database = rest.partition("/")
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await flowing.wait()
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(host, int(there))
        for pair in ((reader, server_writer), (server_reader, writer)):
            pumps.add(asyncio.create_task(pump(*pair)))

    async with await asyncio.start_server(accept, "127.0.0.1", port):
        yield f"{start}@127.0.0.1:{port}/{database}", flowing
        for task in pumps:
            task.cancel()


async def test_a_connection_that_was_ended_is_replaced(pool: Pool) -> None:
    """The one statement fails with our name; the next has a new connection."""
    async with acquire(pool) as victim, acquire(pool) as killer:
        await killer.execute("SELECT pg_terminate_backend($1)", victim.get_server_pid())
        with pytest.raises(BackendUnavailable), store_errors():
            await victim.fetchval("SELECT 1")
    async with acquire(pool) as one, acquire(pool) as two:
        assert [await one.fetchval("SELECT 1"), await two.fetchval("SELECT 2")] == [1, 2]


async def test_an_idle_connection_that_was_ended_is_not_given_out(pool: Pool) -> None:
    """As after a restart of the server: whoever comes next notices nothing."""
    async with acquire(pool) as killer:
        async with acquire(pool) as victim:
            pid, below = victim.get_server_pid(), victim._con  # type: ignore[attr-defined]
        await killer.execute("SELECT pg_terminate_backend($1)", pid)

        async def closed() -> bool:
            return bool(below.is_closed())

        await eventually(closed, what="the end of the connection")
        async with acquire(pool) as connection:
            assert await connection.fetchval("SELECT 1") == 1
            assert connection.get_server_pid() != pid


async def test_an_empty_pool_is_not_waited_for_long(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overload is answered, not queued for ever."""
    monkeypatch.setattr(postgres, "ACQUIRE_SECONDS", 0.2)
    async with acquire(pool), acquire(pool):
        with pytest.raises(BackendUnavailable):
            async with acquire(pool):
                pass


async def test_constraints_are_the_stores_business(pool: Pool) -> None:
    """They say something about the data, so they pass as they are."""
    await pool.execute("INSERT INTO thing VALUES (1, 'one')")
    with pytest.raises(asyncpg.UniqueViolationError):
        async with transaction(pool) as connection:
            await connection.execute("INSERT INTO thing VALUES (1, 'again')")


@pytest.mark.parametrize("value", [2**63, "1"])
async def test_an_argument_that_does_not_fit_is_a_bug(pool: Pool, value: object) -> None:
    """Not an outage: repeating it would never help."""
    async with acquire(pool) as connection:
        with pytest.raises(asyncpg.DataError), store_errors():
            await connection.execute("SELECT FROM thing WHERE id = $1", value)


async def test_an_address_that_makes_no_sense_is_a_bug() -> None:
    """Waiting for a database at no place would never end."""
    with pytest.raises(ValueError, match="scheme"):
        async with open_pool("mysql://127.0.0.1/polychat", size=1, application_name="pool-test"):
            pass


async def test_readiness_asks_the_database(pool: Pool) -> None:
    """Fine while it answers, a sentence when its connections are gone."""
    assert await check(pool) is None
    await pool.close()
    assert await check(pool) == "postgres does not answer; try again"


async def test_the_session_is_bounded_on_the_servers_side_too(pool: Pool) -> None:
    """A process that dies or hangs holds no lock for long."""
    found = await pool.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(BOUNDS))
    assert {row["name"]: row["setting"] for row in found} == BOUNDS


BOUNDS = {
    "application_name": "pool-test",
    "idle_in_transaction_session_timeout": "10000",
    "lock_timeout": "300",
    "tcp_user_timeout": "5000",
}
