"""Registering a user: an account here and a profile in the user service, or neither.

docs/decisions/0002-registration.md tells why it goes in these steps and what every crash leaves behind.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from chassis import failpoints, logs
from chassis.errors import BackendUnavailable, Failure, InvalidField
from chassis.text import no_nul
from services.auth.domain import (
    RESERVATION_SWEEP,
    SEED_BYTES,
    Account,
    AccountState,
    AuditEvent,
    AuditEventKind,
    TokenPair,
    new_session,
)
from services.auth.errors import UsernameTaken
from services.auth.ports import AccountStore, Clock, Ids, PasswordHasher, Profiles
from services.auth.use_cases.limits import SignInLimits
from services.auth.use_cases.pairs import TokenPairs

SWEEP_BATCH = 100
_RESERVE_TRIES = 3

log = logs.get("registration")


@dataclass(frozen=True, slots=True)
class NewUser:
    """Who wants to register; the shape of every field was checked."""

    username: str
    password: str
    display_name: str
    email: str
    device_name: str


class Registration:
    """Makes accounts and clears away those that were left half made."""

    def __init__(
        self,
        accounts: AccountStore,
        profiles: Profiles,
        hasher: PasswordHasher,
        limits: SignInLimits,
        pairs: TokenPairs,
        ids: Ids,
        clock: Clock,
        common_passwords: frozenset[str],
    ) -> None:
        self._accounts = accounts
        self._profiles = profiles
        self._hasher = hasher
        self._limits = limits
        self._pairs = pairs
        self._ids = ids
        self._clock = clock
        self._common_passwords = common_passwords

    async def register(self, user: NewUser, address: str | None) -> TokenPair:
        """Makes the user and signs them in.

        Raises UsernameTaken, EmailTaken, InvalidField, RateLimited, Overloaded, BackendUnavailable. Whatever
        it raises, the name and the email are free again as soon as both services answer.
        """
        for field, text in (("display_name", user.display_name), ("device_name", user.device_name)):
            no_nul(field, text)
        if user.password.casefold() in self._common_passwords:
            raise InvalidField("password", "is one of those that are tried first; choose another")
        await self._limits.register(address)
        account = await self._reserve(user.username, await self._hasher.hash(user.password))
        try:
            await failpoints.reach("auth.reserved")
            await self._profiles.put(account.user_id, user.username, user.display_name, user.email)
            await failpoints.reach("auth.profile_made")
            pair = await self._activate(account, user.device_name, address)
        except Failure:
            await self._give_up(account)
            raise
        await failpoints.reach("auth.activated")
        log.info("user_registered", user=account.user_id)
        return pair

    async def sweep(self) -> int:
        """Clears away accounts of registrations that died, a batch at most; gives how many.

        Raises BackendUnavailable, after the others, when there was one that cannot be cleared now.
        """
        before = self._clock() - RESERVATION_SWEEP
        unfinished = await self._accounts.unfinished(before, SWEEP_BATCH)
        failures: list[Failure] = []
        for account in unfinished:
            try:
                await self._clear(account)
            except Failure as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
        return len(unfinished)

    async def _reserve(self, username: str, password_hash: str) -> Account:
        for _ in range(_RESERVE_TRIES):
            now = self._clock()
            account = Account(self._ids(), username, password_hash, AccountState.PENDING, 1, now)
            holder = await self._accounts.reserve(account)
            if holder is None:
                return account
            if not holder.may_be_cleared(now):
                break
            await self._clear(holder)
        raise UsernameTaken(username)

    async def _activate(self, account: Account, device_name: str, address: str | None) -> TokenPair:
        now = self._clock()
        seed = secrets.token_bytes(SEED_BYTES)
        session = new_session(self._ids(), account.user_id, device_name, seed, now)
        pair = self._pairs.pair(session, 1, account.username)
        audit = [
            AuditEvent(kind, now, account.user_id, session.session_id, address)
            for kind in (AuditEventKind.REGISTERED, AuditEventKind.SIGNED_IN)
        ]
        if not await self._accounts.activate(account, session, self._pairs.token_hash(session, 1), audit):
            raise BackendUnavailable("registration")
        return pair

    async def _give_up(self, account: Account) -> None:
        try:
            await self._clear(account)
        except Failure as failure:
            log.warning("registration_left_to_the_sweep", user=account.user_id, reason=failure.reason)

    async def _clear(self, account: Account) -> None:
        """Fences the attempt, then removes profile and account: so no active account lacks a profile."""
        abandoned = await self._accounts.abandon(account)
        if abandoned is None:
            return
        await self._profiles.remove(abandoned.user_id)
        await self._accounts.remove(abandoned)
