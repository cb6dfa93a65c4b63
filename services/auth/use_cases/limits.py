"""How often one may try."""

from __future__ import annotations

from collections.abc import Callable

from chassis.errors import RateLimited
from services.auth.ports import Limiter, Limits, Rate


class SignInLimits:
    """Slows guessing down without letting it lock anybody out.

    Tries at one account are counted per address they come from, so that whoever guesses a password from
    elsewhere does not keep its owner from signing in. Without a known address they are counted per account.
    All tries together have a limit too, for what many addresses do at once; those that are refused for their
    address or account do not count there.
    """

    def __init__(self, limiter: Limiter, limits: Callable[[], Limits]) -> None:
        self._limiter = limiter
        self._limits = limits

    async def login(self, username_key: str, address: str | None) -> None:
        """Counts a try to sign in, successful or not. Raises RateLimited."""
        limits = self._limits()
        if address is not None:
            await self._take(f"login-address:{address}", limits.login_address)
        await self._take(f"login-user:{username_key}@{address or ''}", limits.login_user)
        await self._take("login", limits.login_all)

    async def register(self, address: str | None) -> None:
        """Counts a registration. Raises RateLimited."""
        if address is not None:
            await self._take(f"register-address:{address}", self._limits().register_address)

    async def refresh(self, session_id: int) -> None:
        """Counts a refresh of a session. Raises RateLimited."""
        await self._take(f"refresh-session:{session_id}", self._limits().refresh_session)

    async def _take(self, key: str, rate: Rate) -> None:
        wait = await self._limiter.take(key, rate)
        if wait > 0:
            raise RateLimited(retry_after=wait)
