"""Accounts, sessions and refresh tokens, and the rules about them; no I/O."""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

ACCESS_TOKEN_LIFE = timedelta(minutes=15)
REFRESH_IDLE = timedelta(days=14)
"""A session that is not refreshed for this long ends."""
REFRESH_ABSOLUTE = timedelta(days=90)
"""A session ends this long after its sign-in, however often it is refreshed."""
REFRESH_GRACE = timedelta(seconds=10)
"""The token spent last may be shown again for this long: its answer was lost."""
MAX_SESSIONS = 10
"""Standing sessions a user may have; one more ends the oldest."""
SEED_BYTES = 32

RESERVATION_HOLD = timedelta(seconds=10)
"""A pending account older than this belongs to a registration that died, so its name may be taken over.
As long as the edge waits for Register; a registration that lives longer loses its name, nothing worse."""
RESERVATION_SWEEP = timedelta(minutes=1)
"""A pending account older than this is removed even when nobody asks for its name."""
ENDED_SESSION_KEPT = timedelta(days=30)
"""Ended sessions are kept this long, so that reuse of their tokens is still told apart from junk."""


class AccountState(enum.StrEnum):
    """Where an account is on its way."""

    PENDING = "pending"
    """Its registration is under way; only that attempt may activate it."""
    ABANDONED = "abandoned"
    """Its registration was given up; what it left behind is being removed."""
    ACTIVE = "active"
    """Its user may sign in."""


def username_key(username: str) -> str:
    """What makes a username unique: two names that differ only in case are one."""
    return username.lower()


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign in, and with what. `attempt` fences a registration: whoever raises it owns the account."""

    user_id: int
    username: str
    password_hash: str
    state: AccountState
    attempt: int
    create_time: datetime

    def may_be_cleared(self, now: datetime) -> bool:
        """Its registration failed or died, so that a new one may clear it away."""
        if self.state is AccountState.ACTIVE:
            return False
        return self.state is AccountState.ABANDONED or now - self.create_time > RESERVATION_HOLD


class EndReason(enum.StrEnum):
    """Why a session was ended before it expired."""

    SIGNED_OUT = "signed_out"
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 — a reason, not a token
    TOO_MANY_SESSIONS = "too_many_sessions"


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in of a user on a device. `generation` counts its refresh tokens from 1; the last is alive."""

    session_id: int
    user_id: int
    device_name: str
    seed: bytes
    generation: int
    create_time: datetime
    last_refresh_time: datetime
    idle_expire_time: datetime
    expire_time: datetime
    end_time: datetime | None = None
    end_reason: EndReason | None = None

    def expired(self, now: datetime) -> bool:
        """Too long without a refresh, or too long at all."""
        return now >= min(self.idle_expire_time, self.expire_time)


def new_session(session_id: int, user_id: int, device_name: str, seed: bytes, now: datetime) -> Session:
    """A session that starts now, with its first refresh token."""
    return Session(
        session_id, user_id, device_name, seed, 1, now, now, now + REFRESH_IDLE, now + REFRESH_ABSOLUTE
    )


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token that was given out once, with its session as it is now.

    `replaced_from` is the address that spent it; None when it is alive or the address is not known.
    """

    session: Session
    username: str
    generation: int
    replaced_time: datetime | None
    replaced_from: str | None


class Verdict(enum.Enum):
    """What to do with a refresh token that somebody shows."""

    ROTATE = enum.auto()
    """It is alive: spend it for its successor."""
    REPEAT = enum.auto()
    """It was spent a moment ago by the same device: give the same successor again."""
    REUSED = enum.auto()
    """It was spent before: end the session."""
    REVOKED = enum.auto()
    """Its session was ended."""
    EXPIRED = enum.auto()
    """Its session is too old."""


def judge(token: RefreshToken, now: datetime, address: str | None) -> Verdict:
    """RFC 9700 §4.14 with the grace of the wire contract §2.

    Only the immediate predecessor of the living token is in grace. A session belongs to one device, which
    is told apart by its address when the edge says it: a token shown from another one is not in grace.
    """
    session = token.session
    if token.replaced_time is not None:
        in_grace = (
            session.end_time is None
            and not session.expired(now)
            and token.generation == session.generation - 1
            and now - token.replaced_time <= REFRESH_GRACE
            and (address is None or token.replaced_from is None or address == token.replaced_from)
        )
        return Verdict.REPEAT if in_grace else Verdict.REUSED
    if session.end_time is not None:
        return Verdict.REVOKED
    return Verdict.EXPIRED if session.expired(now) else Verdict.ROTATE


def derive_refresh_token(key: bytes, session: Session, generation: int) -> str:
    """The refresh token of a generation: 256 bits that need the server's key and the session's seed.

    Derived rather than drawn, so that a lost answer can be given again without storing the token itself.
    """
    message = session.seed + session.session_id.to_bytes(8, "big") + generation.to_bytes(8, "big")
    return base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).decode().rstrip("=")


def refresh_token_hash(token: str) -> bytes:
    """What is stored of a refresh token. 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in or a refresh gives: for whom, a token to call with and one to get the next pair."""

    user_id: int
    username: str
    access_token: str
    expires_in: timedelta
    refresh_token: str


class AuditEventKind(enum.StrEnum):
    """What the audit log tells; the names are stored, so they never change."""

    REGISTERED = "registered"
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGNED_OUT = "signed_out"
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 — a name, not a token


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that must not be denied later. The user is unknown when a sign-in named nobody."""

    kind: AuditEventKind
    create_time: datetime
    user_id: int | None = None
    session_id: int | None = None
    address: str | None = None
