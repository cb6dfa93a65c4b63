"""Accounts and the audit log, in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from chassis.errors import BackendUnavailable
from chassis.postgres import Pool, open_pool
from services.auth.domain import (
    AccountState,
    AuditEventKind,
)
from services.auth.store import PostgresAccountStore, PostgresAuditLog
from tests.support.auth_stores import NOW, Stores, active, event, pending, session_of, token_of


async def test_a_name_is_reserved_once(stores: Stores) -> None:
    """The second gets to see who has it, whatever the case of its letters."""
    first = pending("Ada")
    assert await stores.accounts.reserve(first) is None
    assert await stores.accounts.reserve(pending("aDA")) == first


async def test_of_many_reservations_at_once_one_wins(stores: Stores) -> None:
    """The store decides, not a check before."""
    accounts = [pending("ada") for _ in range(8)]
    holders = await asyncio.gather(*(stores.accounts.reserve(account) for account in accounts))
    (winner,) = [account for account, holder in zip(accounts, holders, strict=True) if holder is None]
    assert [holder for holder in holders if holder is not None] == [winner] * 7


async def test_only_active_accounts_sign_in(stores: Stores) -> None:
    """A reservation is nobody."""
    account = pending("Ada")
    await stores.accounts.reserve(account)
    assert await stores.accounts.find_active("ada") is None
    session = session_of(account.user_id)
    assert await stores.accounts.activate(account, session, token_of(session), [])
    assert await stores.accounts.find_active("ada") == replace(account, state=AccountState.ACTIVE)
    assert await stores.accounts.find_active("Ada") is None


async def test_activation_opens_the_session(stores: Stores) -> None:
    """Account, session and first token appear together."""
    account, session = await active(stores)
    token = await stores.sessions.find_by_token(token_of(session))
    assert token is not None
    assert (token.session, token.username, token.generation) == (session, account.username, 1)
    assert token.replaced_time is None


async def test_an_abandoned_attempt_cannot_activate(stores: Stores) -> None:
    """Whoever abandons raises the attempt; what the old one does then has no effect."""
    account = pending("ada")
    await stores.accounts.reserve(account)
    abandoned = await stores.accounts.abandon(account)
    assert abandoned == replace(account, state=AccountState.ABANDONED, attempt=2)
    session = session_of(account.user_id)
    assert not await stores.accounts.activate(account, session, token_of(session), [])
    assert await stores.sessions.find_by_token(token_of(session)) is None
    assert await stores.accounts.abandon(account) is None


async def test_an_active_account_cannot_be_abandoned(stores: Stores) -> None:
    """A compensation that comes too late takes nothing away."""
    account, _ = await active(stores)
    assert await stores.accounts.abandon(account) is None
    await stores.accounts.remove(account)
    assert await stores.accounts.find_active("ada") is not None


async def test_only_its_abandoner_removes_an_account(stores: Stores) -> None:
    """An abandoned account taken over by another is not the first one's to remove any more."""
    account = pending("ada")
    await stores.accounts.reserve(account)
    mine = await stores.accounts.abandon(account)
    assert mine is not None
    theirs = await stores.accounts.abandon(mine)
    assert theirs is not None
    await stores.accounts.remove(mine)
    assert await stores.accounts.reserve(pending("ada")) == theirs
    await stores.accounts.remove(theirs)
    assert await stores.accounts.reserve(pending("ada")) is None


async def test_unfinished_accounts_are_listed_by_age(stores: Stores) -> None:
    """Pending and abandoned ones from before then, the oldest id first; never active ones."""
    await active(stores, "user")
    old, given_up, young = pending("old"), pending("given-up"), pending("young", NOW + timedelta(minutes=1))
    for account in (old, given_up, young):
        await stores.accounts.reserve(account)
    abandoned = await stores.accounts.abandon(given_up)
    assert await stores.accounts.unfinished(NOW + timedelta(seconds=1), 10) == [old, abandoned]
    assert await stores.accounts.unfinished(NOW + timedelta(seconds=1), 1) == [old]


async def test_a_hash_is_replaced_only_when_it_is_the_same(stores: Stores) -> None:
    """Renewing a hash never undoes a change of the password."""
    account, _ = await active(stores)
    await stores.accounts.replace_password_hash(account.user_id, "other", "new")
    found = await stores.accounts.find_active("ada")
    assert found is not None
    assert found.password_hash == "hash"
    await stores.accounts.replace_password_hash(account.user_id, "hash", "new")
    found = await stores.accounts.find_active("ada")
    assert found is not None
    assert found.password_hash == "new"


async def test_the_audit_log_refuses_changes(pool: Pool) -> None:
    """No statement changes or takes away what was written.

    A guard against mistakes, not against an intruder: the service's role owns the table and its trigger.
    """
    await PostgresAuditLog(pool).append(event(AuditEventKind.SIGN_IN_FAILED))
    for statement in (
        "UPDATE auth.audit_event SET kind = 'nothing'",
        "DELETE FROM auth.audit_event",
        "TRUNCATE auth.audit_event",
    ):
        with pytest.raises(asyncpg.RaiseError, match="only ever added"):
            await pool.execute(statement)
    assert await pool.fetchval("SELECT count(*) FROM auth.audit_event WHERE kind = 'sign_in_failed'") == 1


async def test_a_store_that_is_away_says_so(auth_dsn: str) -> None:
    """Nothing of the driver is seen: BACKEND_UNAVAILABLE with the name of the part."""
    async with open_pool(auth_dsn, size=1, application_name="contract") as pool:
        await pool.close()
        with pytest.raises(BackendUnavailable) as caught:
            await PostgresAccountStore(pool).find_active("ada")
    assert caught.value.metadata == {"backend": "postgres"}
