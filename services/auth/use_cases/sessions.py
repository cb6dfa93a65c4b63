"""Refreshing and ending sessions."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.errors import InvalidField, SessionRevoked
from services.auth.domain import (
    ENDED_SESSION_KEPT,
    REFRESH_IDLE,
    AuditEvent,
    AuditEventKind,
    EndReason,
    RefreshToken,
    TokenPair,
    Verdict,
    judge,
    refresh_token_hash,
)
from services.auth.errors import RefreshTokenInvalid, RefreshTokenReused
from services.auth.ports import Clock, SessionHints, SessionStore
from services.auth.use_cases.limits import SignInLimits
from services.auth.use_cases.pairs import TokenPairs

MAX_CHECKED = 5000
PURGE_BATCH = 500


class Sessions:
    """What happens to a session after its sign-in."""

    def __init__(
        self,
        sessions: SessionStore,
        hints: SessionHints,
        limits: SignInLimits,
        pairs: TokenPairs,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._hints = hints
        self._limits = limits
        self._pairs = pairs
        self._clock = clock

    async def refresh(self, presented: str, address: str | None) -> TokenPair:
        """Spends a refresh token for a new pair; gives the same pair again to a device that lost the answer.

        Raises RefreshTokenInvalid, RefreshTokenReused (the session is ended then), SessionRevoked,
        RateLimited (nothing is spent then), BackendUnavailable.
        """
        token_hash = refresh_token_hash(presented)
        token = await self._find(token_hash)
        verdict = judge(token, self._clock(), address)
        # Not what is refused anyway: a limit must not put off the end of a stolen session.
        if verdict in (Verdict.ROTATE, Verdict.REPEAT):
            await self._limits.refresh(token.session.session_id)
        if verdict is Verdict.ROTATE:
            rotated = await self._rotate(token, address)
            if rotated is not None:
                return rotated
            token = await self._find(token_hash)
        return await self._answer_spent(token, address)

    async def logout(self, user_id: int, session_id: int, address: str | None) -> None:
        """Ends the session and tells the edges. Raises SessionRevoked when it had ended before."""
        now = self._clock()
        audit = AuditEvent(AuditEventKind.SIGNED_OUT, now, user_id, session_id, address)
        if not await self._sessions.end(session_id, EndReason.SIGNED_OUT, now, audit):
            raise SessionRevoked
        await self._hints.ended([session_id])

    async def check(self, session_ids: Sequence[int]) -> Sequence[int]:
        """Those of at most 5,000 sessions that do not stand any more. Raises InvalidField for more."""
        if len(session_ids) > MAX_CHECKED:
            raise InvalidField("session_ids", f"at most {MAX_CHECKED} at once")
        return await self._sessions.not_standing(session_ids, self._clock())

    async def purge(self) -> int:
        """Deletes a batch of sessions that ended long ago; gives how many. Raises BackendUnavailable."""
        return await self._sessions.purge(self._clock() - ENDED_SESSION_KEPT, PURGE_BATCH)

    async def _find(self, token_hash: bytes) -> RefreshToken:
        token = await self._sessions.find_by_token(token_hash)
        if token is None:
            raise RefreshTokenInvalid
        return token

    async def _rotate(self, token: RefreshToken, address: str | None) -> TokenPair | None:
        """The new pair; None when somebody else spent the token, or the session ended, since it was read."""
        now = self._clock()
        session = token.session
        successor = session.generation + 1
        pair = self._pairs.pair(session, successor, token.username)
        successor_hash = self._pairs.token_hash(session, successor)
        won = await self._sessions.rotate(session, successor_hash, now, now + REFRESH_IDLE, address)
        return pair if won else None

    async def _answer_spent(self, token: RefreshToken, address: str | None) -> TokenPair:
        session = token.session
        match judge(token, self._clock(), address):
            case Verdict.REPEAT:
                return self._pairs.pair(session, session.generation, token.username)
            case Verdict.REVOKED:
                raise SessionRevoked
            case Verdict.REUSED:
                await self._end_reused(token, address)
                raise RefreshTokenReused
            case _:
                raise RefreshTokenInvalid

    async def _end_reused(self, token: RefreshToken, address: str | None) -> None:
        now = self._clock()
        session_id = token.session.session_id
        kind = AuditEventKind.REFRESH_TOKEN_REUSED
        audit = AuditEvent(kind, now, token.session.user_id, session_id, address)
        if await self._sessions.end(session_id, EndReason.REFRESH_TOKEN_REUSED, now, audit):
            await self._hints.ended([session_id])
