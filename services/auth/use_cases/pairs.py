"""The pair of tokens that a session gets."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from services.auth.domain import (
    ACCESS_TOKEN_LIFE,
    Session,
    TokenPair,
    derive_refresh_token,
    refresh_token_hash,
)
from services.auth.ports import Clock, KeyForge
from services.auth.use_cases.signing_keys import SigningKeys

ISSUER = AUDIENCE = "polychat"
CLAIMS_VERSION = 1


class TokenPairs:
    """Makes access tokens (RFC 9068) and derives refresh tokens. `refresh_key` is the server's secret."""

    def __init__(
        self,
        keys: SigningKeys,
        forge: KeyForge,
        clock: Clock,
        refresh_key: bytes,
        token_id: Callable[[], str] = lambda: secrets.token_urlsafe(12),
    ) -> None:
        self._keys = keys
        self._forge = forge
        self._clock = clock
        self._refresh_key = refresh_key
        self._token_id = token_id

    def token_hash(self, session: Session, generation: int) -> bytes:
        """What the store keeps of the refresh token of a generation."""
        return refresh_token_hash(derive_refresh_token(self._refresh_key, session, generation))

    def pair(self, session: Session, generation: int, username: str) -> TokenPair:
        """A new access token, never longer than the session, and the refresh token of the generation.

        Raises BackendUnavailable while there is no signing key.
        """
        now = self._clock()
        life = min(ACCESS_TOKEN_LIFE, session.expire_time - now)
        issued = int(now.timestamp())
        claims: dict[str, str | int] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(session.user_id),
            "sid": str(session.session_id),
            "jti": self._token_id(),
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(life.total_seconds()),
            "ver": CLAIMS_VERSION,
        }
        access_token = self._forge.sign(self._keys.current(), claims)
        refresh_token = derive_refresh_token(self._refresh_key, session, generation)
        return TokenPair(session.user_id, username, access_token, life, refresh_token)
