"""Signing in."""

from __future__ import annotations

import secrets

from chassis.text import no_nul
from services.auth.domain import (
    MAX_SESSIONS,
    SEED_BYTES,
    Account,
    AuditEvent,
    AuditEventKind,
    TokenPair,
    new_session,
    username_key,
)
from services.auth.errors import InvalidCredentials
from services.auth.ports import AccountStore, AuditLog, Clock, Ids, PasswordHasher, SessionHints, SessionStore
from services.auth.use_cases.limits import SignInLimits
from services.auth.use_cases.pairs import TokenPairs


class Login:
    """A password for a session."""

    def __init__(
        self,
        accounts: AccountStore,
        sessions: SessionStore,
        audit: AuditLog,
        hasher: PasswordHasher,
        limits: SignInLimits,
        hints: SessionHints,
        pairs: TokenPairs,
        ids: Ids,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._audit = audit
        self._hasher = hasher
        self._limits = limits
        self._hints = hints
        self._pairs = pairs
        self._ids = ids
        self._clock = clock

    async def login(self, username: str, password: str, device_name: str, address: str | None) -> TokenPair:
        """Opens one more session, ending the oldest beyond the tenth.

        Raises InvalidCredentials after the same work for an unknown name and a wrong password, InvalidField,
        RateLimited, Overloaded, BackendUnavailable.
        """
        no_nul("username", username)
        no_nul("device_name", device_name)
        key = username_key(username)
        await self._limits.login(key, address)
        account = await self._accounts.find_active(key)
        matches = await self._hasher.verify(account.password_hash if account else None, password)
        if account is None or not matches:
            await self._audit.append(
                AuditEvent(
                    AuditEventKind.SIGN_IN_FAILED,
                    self._clock(),
                    user_id=account.user_id if account else None,
                    address=address,
                )
            )
            raise InvalidCredentials
        await self._renew_hash(account, password)
        return await self._open(account, device_name, address)

    async def _renew_hash(self, account: Account, password: str) -> None:
        if self._hasher.needs_rehash(account.password_hash):
            renewed = await self._hasher.hash(password)
            await self._accounts.replace_password_hash(account.user_id, account.password_hash, renewed)

    async def _open(self, account: Account, device_name: str, address: str | None) -> TokenPair:
        now = self._clock()
        seed = secrets.token_bytes(SEED_BYTES)
        session = new_session(self._ids(), account.user_id, device_name, seed, now)
        pair = self._pairs.pair(session, 1, account.username)
        audit = AuditEvent(AuditEventKind.SIGNED_IN, now, account.user_id, session.session_id, address)
        ended = await self._sessions.open(session, self._pairs.token_hash(session, 1), MAX_SESSIONS, audit)
        if ended:
            await self._hints.ended(ended)
        return pair
