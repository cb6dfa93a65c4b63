"""Opaque page tokens (AIP-158): positions sealed with a key, bound to method, caller and filter.

A token says where the next page starts and nothing about rights: those are checked at every call.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from chassis.errors import PageTokenInvalid

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 100
_TAG_BYTES = 16


def page_size(asked: int) -> int:
    """How many items a page has: the default for 0, never more than the maximum."""
    return min(asked, MAX_PAGE_SIZE) if asked > 0 else DEFAULT_PAGE_SIZE


class PageTokens:
    """Seals and opens page tokens with one secret key, the same in all instances of a service."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, scope: str, *position: int | str) -> str:
        """The token for the page that starts after `position`; `scope` names method, caller and filter."""
        body = msgspec.json.encode(position)
        return _spelled(self._tag(scope, body) + body)

    def open(self, scope: str, token: str) -> tuple[Any, ...]:
        """The position that was sealed. Raises PageTokenInvalid when anything about it was changed."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as error:
            raise PageTokenInvalid from error
        # The decoder passes over what is no base64; one position has one token.
        if _spelled(raw) != token:
            raise PageTokenInvalid
        tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(scope, body)):
            raise PageTokenInvalid
        return tuple(msgspec.json.decode(body))

    def _tag(self, scope: str, body: bytes) -> bytes:
        return hmac.digest(self._key, scope.encode() + b"\0" + body, hashlib.sha256)[:_TAG_BYTES]


def _spelled(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
