"""The ports of auth on PostgreSQL, except the signing keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from chassis.postgres import Connection, Pool, acquire, transaction
from chassis.sql import load_queries
from services.auth.domain import (
    Account,
    AccountState,
    AuditEvent,
    EndReason,
    RefreshToken,
    Session,
    username_key,
)

SQL = load_queries("services.auth")


class PostgresAccountStore:
    """AccountStore on the tables `account`, `session` and `refresh_token`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def reserve(self, account: Account) -> Account | None:
        key = username_key(account.username)
        async with acquire(self._pool) as connection:
            while True:
                reserved = await connection.fetchval(
                    SQL.reserve_account,
                    account.user_id,
                    account.username,
                    key,
                    account.password_hash,
                    account.state,
                    account.attempt,
                    account.create_time,
                )
                if reserved is not None:
                    return None
                holder = await connection.fetchrow(SQL.get_account_by_name, key)
                if holder is not None:
                    return _account(holder)

    async def activate(
        self, account: Account, session: Session, token_hash: bytes, audit: Sequence[AuditEvent]
    ) -> bool:
        async with transaction(self._pool) as connection:
            active = await connection.fetchval(SQL.activate_account, account.user_id, account.attempt)
            if active is None:
                return False
            await _add_session(connection, session, token_hash)
            for event in audit:
                await _append(connection, event)
        return True

    async def abandon(self, account: Account) -> Account | None:
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(SQL.abandon_account, account.user_id, account.attempt)
        return _account(row) if row is not None else None

    async def remove(self, account: Account) -> None:
        async with acquire(self._pool) as connection:
            await connection.execute(SQL.remove_account, account.user_id, account.attempt)

    async def unfinished(self, created_before: datetime, limit: int) -> Sequence[Account]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(SQL.list_unfinished_accounts, created_before, limit)
        return [_account(row) for row in rows]

    async def find_active(self, username_key: str) -> Account | None:
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(SQL.get_active_account, username_key)
        return _account(row) if row is not None else None

    async def replace_password_hash(self, user_id: int, old: str, new: str) -> None:
        async with acquire(self._pool) as connection:
            await connection.execute(SQL.replace_password_hash, user_id, old, new)


class PostgresSessionStore:
    """SessionStore on the tables `session` and `refresh_token`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, session: Session, token_hash: bytes, limit: int, audit: AuditEvent) -> Sequence[int]:
        async with transaction(self._pool) as connection:
            await connection.execute(SQL.lock_account, session.user_id)
            await _add_session(connection, session, token_hash)
            surplus = await connection.fetch(
                SQL.end_surplus_sessions, session.user_id, session.session_id, limit - 1, session.create_time
            )
            await _append(connection, audit)
        return sorted(row["session_id"] for row in surplus)

    async def find_by_token(self, token_hash: bytes) -> RefreshToken | None:
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(SQL.find_refresh_token, token_hash)
        if row is None:
            return None
        return RefreshToken(
            _session(row),
            row["username"],
            row["token_generation"],
            row["replaced_time"],
            row["replaced_from"],
        )

    async def rotate(
        self,
        session: Session,
        token_hash: bytes,
        now: datetime,
        idle_expire_time: datetime,
        address: str | None,
    ) -> bool:
        async with acquire(self._pool) as connection:
            successor = await connection.fetchval(
                SQL.rotate_refresh_token,
                session.session_id,
                session.generation,
                token_hash,
                now,
                idle_expire_time,
                address,
            )
        return successor is not None

    async def end(self, session_id: int, reason: EndReason, now: datetime, audit: AuditEvent) -> bool:
        async with transaction(self._pool) as connection:
            if await connection.fetchval(SQL.end_session, session_id, reason, now) is None:
                return False
            await _append(connection, audit)
        return True

    async def not_standing(self, session_ids: Sequence[int], now: datetime) -> Sequence[int]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(SQL.list_not_standing, session_ids, now)
        return [row["session_id"] for row in rows]

    async def purge(self, ended_before: datetime, limit: int) -> int:
        async with acquire(self._pool) as connection:
            return len(await connection.fetch(SQL.purge_sessions, ended_before, limit))


class PostgresAuditLog:
    """AuditLog on the table `audit_event`, which refuses changes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def append(self, event: AuditEvent) -> None:
        async with acquire(self._pool) as connection:
            await _append(connection, event)


async def _add_session(connection: Connection, session: Session, token_hash: bytes) -> None:
    await connection.execute(
        SQL.add_session,
        session.session_id,
        session.user_id,
        session.device_name,
        session.seed,
        session.generation,
        session.create_time,
        session.last_refresh_time,
        session.idle_expire_time,
        session.expire_time,
    )
    await connection.execute(SQL.add_refresh_token, session.session_id, session.generation, token_hash)


async def _append(connection: Connection, event: AuditEvent) -> None:
    await connection.execute(
        SQL.append_audit_event, event.kind, event.create_time, event.user_id, event.session_id, event.address
    )


def _account(row: asyncpg.Record) -> Account:
    return Account(
        row["user_id"],
        row["username"],
        row["password_hash"],
        AccountState(row["state"]),
        row["attempt"],
        row["create_time"],
    )


def _session(row: asyncpg.Record) -> Session:
    return Session(
        row["session_id"],
        row["user_id"],
        row["device_name"],
        row["seed"],
        row["generation"],
        row["create_time"],
        row["last_refresh_time"],
        row["idle_expire_time"],
        row["expire_time"],
        row["end_time"],
        EndReason(row["end_reason"]) if row["end_reason"] is not None else None,
    )
