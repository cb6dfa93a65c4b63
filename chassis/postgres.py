"""Connections to PostgreSQL with every wait bounded, and its errors turned into ours."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import asyncpg

from chassis import logs
from chassis.closed import is_closed
from chassis.errors import BackendUnavailable
from chassis.keepalive import keep_alive
from chassis.restoring import IS_MARKED, UnfinishedRestoreError

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    _DriverConnection = asyncpg.Connection[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.pool.PoolConnectionProxy
    _DriverConnection = asyncpg.Connection

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 5.0
STATEMENT_SHARE = 0.9
"""Of COMMAND_SECONDS: then the server ends a statement by itself, and the connection stays good."""
ACQUIRE_SECONDS = 2.0
RELEASE_SECONDS = 2.0
"""For the server to end what a cancelled caller had begun."""
CHECK_SECONDS = 1.0
"""For readiness: with the wait for a connection less than a check may take (chassis.health)."""
TCP_USER_TIMEOUT_MILLIS = 5000
"""Unacknowledged bytes on a dead link end the connection after this (RFC 5482)."""

log = logs.get("postgres")


class _Pooled(_DriverConnection):
    """Goes back into its pool without a question to the server, which costs as much as a small commit: no
    statement of ours sets, listens or locks beyond its transaction, and one left open is rolled back."""

    def get_reset_query(self) -> str:
        """See asyncpg.Connection."""
        return ""


UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.exceptions.InternalClientError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.PostgresSystemError,
    asyncpg.exceptions.LockNotAvailableError,
    asyncpg.exceptions.DeadlockDetectedError,
    asyncpg.exceptions.SerializationError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.InvalidAuthorizationSpecificationError,
    asyncpg.exceptions.InvalidCatalogNameError,
    OSError,
    asyncio.TimeoutError,
)
"""What the driver raises when the database cannot do its work now; a repeat may succeed."""


@asynccontextmanager
async def open_pool(
    dsn: str, *, size: int, application_name: str, lock_timeout_millis: int = 2000
) -> AsyncIterator[Pool]:
    """A pool of at most `size` connections; the first is made at once, so a wrong DSN fails here.

    Raises BackendUnavailable when the database does not answer or does not let us in, and
    UnfinishedRestoreError.
    """
    with store_errors():
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            max_inactive_connection_lifetime=300,
            ssl=False,
            connection_class=_Pooled,
            init=_bound_tcp,
            server_settings={
                "application_name": application_name,
                "lock_timeout": str(lock_timeout_millis),
                "statement_timeout": str(round(COMMAND_SECONDS * STATEMENT_SHARE * 1000)),
                "idle_in_transaction_session_timeout": "10000",
                "tcp_user_timeout": str(TCP_USER_TIMEOUT_MILLIS),
                "jit": "off",
            },
        )
    try:
        with store_errors():
            if await pool.fetchval(IS_MARKED):
                raise UnfinishedRestoreError
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), timeout=2)
        except TimeoutError:
            pool.terminate()


class _StoreErrors(AbstractContextManager[None]):
    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # A ValueError is an address or argument that makes no sense, which no repeat mends.
        if is_closed(error) or (isinstance(error, UNAVAILABLE) and not isinstance(error, ValueError)):
            raise BackendUnavailable("postgres") from error


_STORE_ERRORS = _StoreErrors()


def store_errors() -> AbstractContextManager[None]:
    """Turns the driver's 'not now' errors into BackendUnavailable; constraints and bugs pass through."""
    return _STORE_ERRORS


class _Acquired(AbstractAsyncContextManager[Connection]):
    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        with store_errors():
            self._connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, TimeoutError):
                _cut(self._connection)
            await self._pool.release(self._connection, timeout=RELEASE_SECONDS)
        except Exception as trouble:  # noqa: BLE001 — what was asked of the database is done or has failed before
            log.warning("connection_not_returned", error=type(trouble).__name__)
        _STORE_ERRORS.__exit__(kind, error, trace)


def acquire(pool: Pool) -> AbstractAsyncContextManager[Connection]:
    """A connection for a few statements. Raises BackendUnavailable when none is free in time.

    It is back in its pool afterwards, or ended because the server did not answer in time; whoever is
    cancelled meanwhile goes at once, and the pool gets it all the same.
    """
    return _Acquired(pool)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside one transaction, committed when the block ends well."""
    async with acquire(pool) as connection, connection.transaction():
        try:
            yield connection
        except TimeoutError:
            _cut(connection)
            raise


def _cut(connection: Connection) -> None:
    """Ends a connection whose server does not answer: a ROLLBACK or the driver's request to cancel would
    wait for the same silence, while the pool lacks the connection and the caller its answer.
    """
    connection.terminate()


async def check(pool: Pool) -> str | None:
    """For readiness: None when the database answers and accepts writes."""
    try:
        async with acquire(pool) as connection:
            answer = await connection.fetchval("SHOW transaction_read_only", timeout=CHECK_SECONDS)
            if answer == "on":
                return "postgres is read-only"
    except BackendUnavailable as failure:
        return failure.message
    return None


async def _bound_tcp(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001 — asyncpg offers no socket options
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    keep_alive(sock)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MILLIS)
