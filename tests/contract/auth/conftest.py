"""The stores of auth: one suite runs on both kinds, in memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from chassis.postgres import Pool, open_pool
from services.auth.key_store import PostgresKeyStore
from services.auth.memory import (
    MemoryAccountStore,
    MemoryAuditLog,
    MemoryKeyStore,
    MemorySessionStore,
    Tables,
)
from services.auth.store import PostgresAccountStore, PostgresAuditLog, PostgresSessionStore
from tests.support.auth_stores import Stores


@pytest.fixture(scope="session")
def auth_dsn(postgres_dsn: Callable[[str], str]) -> str:
    """A migrated database of its own."""
    return postgres_dsn("auth")


@pytest.fixture
async def pool(request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    """Connections to that database, emptied."""
    dsn: str = request.getfixturevalue("auth_dsn")
    async with open_pool(dsn, size=8, application_name="contract") as opened:
        await opened.execute("TRUNCATE auth.account, auth.session, auth.refresh_token, auth.signing_key")
        yield opened


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        tables = Tables()
        return Stores(
            MemoryAccountStore(tables),
            MemorySessionStore(tables),
            MemoryAuditLog(tables),
            MemoryKeyStore(tables),
        )
    pool: Pool = request.getfixturevalue("pool")
    return Stores(
        PostgresAccountStore(pool),
        PostgresSessionStore(pool),
        PostgresAuditLog(pool),
        PostgresKeyStore(pool),
    )
