"""The stores of auth for contract tests, and things to put into them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

from services.auth.domain import (
    REFRESH_IDLE,
    Account,
    AccountState,
    AuditEvent,
    AuditEventKind,
    Session,
    new_session,
)
from services.auth.ports import AccountStore, AuditLog, KeyStore, SessionStore

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_ids = itertools.count(1)


@dataclass
class Stores:
    """One kind of store, with nothing in it that another test would see."""

    accounts: AccountStore
    sessions: SessionStore
    audit: AuditLog
    keys: KeyStore


def pending(username: str, at: datetime = NOW) -> Account:
    """A reservation."""
    return Account(next(_ids), username, "hash", AccountState.PENDING, 1, at)


def session_of(user_id: int, at: datetime = NOW) -> Session:
    """A session that starts at a time."""
    return new_session(next(_ids), user_id, "phone", b"s" * 32, at)


def event(kind: AuditEventKind = AuditEventKind.SIGNED_IN) -> AuditEvent:
    """Something to audit."""
    return AuditEvent(kind, NOW, 1, 2, "192.0.2.1")


def token_of(session: Session, generation: int = 1) -> bytes:
    """A hash that no other token has."""
    return f"{session.session_id}-{generation}".encode()


async def active(stores: Stores, username: str = "ada") -> tuple[Account, Session]:
    """A user with one session."""
    account = pending(username)
    assert await stores.accounts.reserve(account) is None
    session = session_of(account.user_id)
    assert await stores.accounts.activate(account, session, token_of(session), [event()])
    return account, session


async def rotate(stores: Stores, session: Session, at: datetime = NOW, address: str | None = None) -> bool:
    """Spends the session's token for the next."""
    successor = token_of(session, session.generation + 1)
    return await stores.sessions.rotate(session, successor, at, at + REFRESH_IDLE, address)
