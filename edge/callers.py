"""Whose a token is, and that its session stands: a token alone looks good for minutes after a sign-out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chassis.caller import Caller
from chassis.errors import SessionRevoked
from chassis.tokens import LEEWAY_SECONDS, TokenVerifier

TOKEN_SECONDS = 15 * 60 + LEEWAY_SECONDS
"""How long a token of a session that ended just now may still look good."""
MAX_ENDED = 50_000
"""Far more than sign-in limits let begin while a token lives; past it the oldest is forgotten."""
MAX_SEEN = 20_000
"""Four requests to auth at every check; past it the oldest is checked again at its next use."""


class Callers:
    """Verifies tokens, and refuses those of sessions that are known to have ended."""

    def __init__(self, verifier: TokenVerifier, clock: Callable[[], float]) -> None:
        self.unchecked = asyncio.Event()
        """Set while there are sessions for `take_unchecked`."""
        self._verifier = verifier
        self._clock = clock
        self._ended: dict[int, float] = {}
        """Session → when the last token of it is over, the earliest first."""
        self._seen: dict[int, float] = {}
        """Session → when its latest token is over."""
        self._unchecked: set[int] = set()

    async def verify(self, token: str) -> Caller:
        """Whose it is. Raises TokenInvalid, TokenExpired, SessionRevoked, BackendUnavailable."""
        return self._standing(await self._verifier.verify(token))

    def verify_cached(self, token: str) -> Caller | None:
        """The same for a token verified before, None for a new one. Raises TokenExpired, SessionRevoked."""
        caller = self._verifier.verify_cached(token)
        return self._standing(caller) if caller is not None else None

    def end(self, session_id: int) -> None:
        """A session ended: its tokens are refused from now on."""
        now = self._clock()
        self._forget(session_id)
        while self._ended and (next(iter(self._ended.values())) <= now or len(self._ended) >= MAX_ENDED):
            del self._ended[next(iter(self._ended))]
        self._ended.setdefault(session_id, now + TOKEN_SECONDS)

    def take_unchecked(self) -> list[int]:
        """Sessions that were seen for the first time, and of which nobody asked auth yet."""
        taken = list(self._unchecked)
        self._unchecked.clear()
        self.unchecked.clear()
        return taken

    def seen(self) -> list[int]:
        """Sessions of which a token was used that is not over yet."""
        now = self._clock()
        for session_id in [session_id for session_id, over in self._seen.items() if over <= now]:
            self._forget(session_id)
        return list(self._seen)

    def _standing(self, caller: Caller) -> Caller:
        session_id, over = caller.session_id, caller.expire_time + LEEWAY_SECONDS
        if session_id in self._ended:
            raise SessionRevoked
        known = self._seen.get(session_id)
        if known is None:
            self._unchecked.add(session_id)
            self.unchecked.set()
        if known is None or known < over:
            self._seen[session_id] = over
        if len(self._seen) > MAX_SEEN:
            self._forget(next(iter(self._seen)))
        return caller

    def _forget(self, session_id: int) -> None:
        self._seen.pop(session_id, None)
        self._unchecked.discard(session_id)
