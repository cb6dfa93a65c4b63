"""Which web pages may open a WebSocket, and tokens that must not be in a URL."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

SECRET_NAMES = frozenset({"token", "access_token", "accesstoken", "jwt", "authorization", "refresh_token"})


def origin_allowed(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a handshake with this `Origin` may go on (RFC 6455 section 10.2).

    Programs send none; a page's own origin names the host it was loaded from; others must be listed,
    letter by letter.
    """
    if origin is None:
        return True
    if host and origin in (f"http://{host}", f"https://{host}"):
        return True
    return origin in allowed


def has_token(query: str) -> bool:
    """Whether a query string carries what looks like a token: by its name or by its shape."""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower() in SECRET_NAMES or (value.startswith("eyJ") and value.count(".") == 2):
            return True
    return False
