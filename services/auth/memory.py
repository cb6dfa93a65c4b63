"""The stores of auth in dicts: the same answers as PostgreSQL, for tests and for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.auth.domain import (
    Account,
    AccountState,
    AuditEvent,
    EndReason,
    RefreshToken,
    Session,
    username_key,
)
from services.auth.key_rotation import SigningKey
from services.auth.ports import KeyPlan


@dataclass(slots=True)
class _Spent:
    generation: int
    replaced_time: datetime | None = None
    replaced_from: str | None = None


@dataclass(slots=True)
class Tables:
    """What the stores share, as the tables of one schema do."""

    accounts: dict[int, Account] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    tokens: dict[bytes, tuple[int, _Spent]] = field(default_factory=dict)
    audit: list[AuditEvent] = field(default_factory=list)
    keys: list[SigningKey] = field(default_factory=list)

    def add_session(self, session: Session, token_hash: bytes) -> None:
        """Adds a session with its first refresh token."""
        self.sessions[session.session_id] = session
        self.tokens[token_hash] = (session.session_id, _Spent(session.generation))

    def account_named(self, key: str) -> Account | None:
        """The account with this name, in any state."""
        return next((a for a in self.accounts.values() if username_key(a.username) == key), None)


class MemoryAccountStore:
    """AccountStore in dicts."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def reserve(self, account: Account) -> Account | None:
        holder = self._tables.account_named(username_key(account.username))
        if holder is None:
            self._tables.accounts[account.user_id] = account
        return holder

    async def activate(
        self, account: Account, session: Session, token_hash: bytes, audit: Sequence[AuditEvent]
    ) -> bool:
        if not self._owned(account, {AccountState.PENDING}):
            return False
        self._tables.accounts[account.user_id] = replace(account, state=AccountState.ACTIVE)
        self._tables.add_session(session, token_hash)
        self._tables.audit.extend(audit)
        return True

    async def abandon(self, account: Account) -> Account | None:
        if not self._owned(account, {AccountState.PENDING, AccountState.ABANDONED}):
            return None
        abandoned = replace(account, state=AccountState.ABANDONED, attempt=account.attempt + 1)
        self._tables.accounts[account.user_id] = abandoned
        return abandoned

    async def remove(self, account: Account) -> None:
        if self._owned(account, {AccountState.ABANDONED}):
            del self._tables.accounts[account.user_id]

    async def unfinished(self, created_before: datetime, limit: int) -> Sequence[Account]:
        found = [
            account
            for account in self._tables.accounts.values()
            if account.state is not AccountState.ACTIVE and account.create_time < created_before
        ]
        return sorted(found, key=lambda account: account.user_id)[:limit]

    async def find_active(self, username_key: str) -> Account | None:
        account = self._tables.account_named(username_key)
        return account if account is not None and account.state is AccountState.ACTIVE else None

    async def replace_password_hash(self, user_id: int, old: str, new: str) -> None:
        account = self._tables.accounts.get(user_id)
        if account is not None and account.password_hash == old:
            self._tables.accounts[user_id] = replace(account, password_hash=new)

    def _owned(self, account: Account, states: set[AccountState]) -> bool:
        stored = self._tables.accounts.get(account.user_id)
        return stored is not None and stored.attempt == account.attempt and stored.state in states


class MemorySessionStore:
    """SessionStore in dicts."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def open(self, session: Session, token_hash: bytes, limit: int, audit: AuditEvent) -> Sequence[int]:
        self._tables.add_session(session, token_hash)
        self._tables.audit.append(audit)
        now = session.create_time
        others = {s for s in self._of_user(session.user_id) if self._stands(s, now)} - {session.session_id}
        surplus = sorted(others, reverse=True)[limit - 1 :]
        for old in surplus:
            self._end(old, EndReason.TOO_MANY_SESSIONS, now)
        return sorted(surplus)

    async def find_by_token(self, token_hash: bytes) -> RefreshToken | None:
        if token_hash not in self._tables.tokens:
            return None
        session_id, token = self._tables.tokens[token_hash]
        session = self._tables.sessions[session_id]
        username = self._tables.accounts[session.user_id].username
        return RefreshToken(session, username, token.generation, token.replaced_time, token.replaced_from)

    async def rotate(
        self,
        session: Session,
        token_hash: bytes,
        now: datetime,
        idle_expire_time: datetime,
        address: str | None,
    ) -> bool:
        stored = self._tables.sessions.get(session.session_id)
        if stored is None or stored.end_time is not None or stored.generation != session.generation:
            return False
        for session_id, token in self._tables.tokens.values():
            if session_id == session.session_id and token.generation == session.generation:
                token.replaced_time, token.replaced_from = now, address
        successor = session.generation + 1
        self._tables.tokens[token_hash] = (session.session_id, _Spent(successor))
        self._tables.sessions[session.session_id] = replace(
            stored, generation=successor, last_refresh_time=now, idle_expire_time=idle_expire_time
        )
        return True

    async def end(self, session_id: int, reason: EndReason, now: datetime, audit: AuditEvent) -> bool:
        if not self._end(session_id, reason, now):
            return False
        self._tables.audit.append(audit)
        return True

    async def not_standing(self, session_ids: Sequence[int], now: datetime) -> Sequence[int]:
        return sorted({session_id for session_id in session_ids if not self._stands(session_id, now)})

    async def purge(self, ended_before: datetime, limit: int) -> int:
        gone = [
            session.session_id
            for session in self._tables.sessions.values()
            if (session.end_time or min(session.idle_expire_time, session.expire_time)) < ended_before
        ][:limit]
        for session_id in gone:
            del self._tables.sessions[session_id]
        self._tables.tokens = {k: v for k, v in self._tables.tokens.items() if v[0] not in gone}
        return len(gone)

    def _of_user(self, user_id: int) -> list[int]:
        return [s.session_id for s in self._tables.sessions.values() if s.user_id == user_id]

    def _stands(self, session_id: int, now: datetime) -> bool:
        session = self._tables.sessions.get(session_id)
        return session is not None and session.end_time is None and not session.expired(now)

    def _end(self, session_id: int, reason: EndReason, now: datetime) -> bool:
        session = self._tables.sessions.get(session_id)
        if session is None or session.end_time is not None:
            return False
        self._tables.sessions[session_id] = replace(session, end_time=now, end_reason=reason)
        return True


class MemoryAuditLog:
    """AuditLog in a list."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def append(self, event: AuditEvent) -> None:
        self._tables.audit.append(event)


class MemoryKeyStore:
    """KeyStore in a list; a plan runs without a pause, so two never mix."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def change(self, plan: KeyPlan) -> Sequence[SigningKey]:
        self._tables.keys = list(plan(self._tables.keys))
        return tuple(self._tables.keys)
