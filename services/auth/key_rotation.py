"""The life of a signing key: published, then used, then kept for the tokens it signed; no I/O."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

PUBLISH_AHEAD = timedelta(hours=24)
"""A key is in the JWKS this long before it signs, so that every verifier knows it by then."""
RETIRED_KEPT = timedelta(hours=24)
"""A retired key stays in the JWKS this long: longer than an access token lives and an instance may lag."""


class KeyState(enum.StrEnum):
    """Where a signing key is in its life."""

    NEXT = "next"
    CURRENT = "current"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair. It signs from `not_before`; `not_after` is when it is due to stop, and when retired,
    when it leaves the JWKS. `sealed_private` is encrypted, and None once retired: nobody needs it then."""

    kid: str
    state: KeyState
    public_jwk: Mapping[str, str]
    sealed_private: bytes | None
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key pair fresh from the forge, without a place in the rotation yet."""

    kid: str
    public_jwk: Mapping[str, str]
    sealed_private: bytes


def rotate(
    keys: Sequence[SigningKey], now: datetime, period: timedelta, forge: Callable[[], NewKey]
) -> tuple[SigningKey, ...]:
    """The keys as they should be now; the same keys when nothing is due.

    The very first key is used at once: there is no verifier yet that could not know it.
    """
    current = _only(keys, KeyState.CURRENT)
    upcoming = _only(keys, KeyState.NEXT)
    retired = [key for key in keys if key.state is KeyState.RETIRED and key.not_after > now]
    if current is None:
        current = _place(forge(), KeyState.CURRENT, now, period)
    elif upcoming is not None and upcoming.not_before <= now:
        retired.append(
            replace(current, state=KeyState.RETIRED, sealed_private=None, not_after=now + RETIRED_KEPT)
        )
        current = replace(upcoming, state=KeyState.CURRENT, not_after=upcoming.not_before + period)
        upcoming = None
    if upcoming is None and now >= current.not_after - PUBLISH_AHEAD:
        upcoming = _place(forge(), KeyState.NEXT, max(now + PUBLISH_AHEAD, current.not_after), period)
    return (current, *([upcoming] if upcoming else []), *retired)


def _place(key: NewKey, state: KeyState, not_before: datetime, period: timedelta) -> SigningKey:
    return SigningKey(key.kid, state, key.public_jwk, key.sealed_private, not_before, not_before + period)


def _only(keys: Sequence[SigningKey], state: KeyState) -> SigningKey | None:
    return next((key for key in keys if key.state is state), None)
