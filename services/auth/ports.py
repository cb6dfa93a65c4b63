"""What auth's use cases need from the outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.auth.domain import Account, AuditEvent, EndReason, RefreshToken, Session
from services.auth.key_rotation import NewKey, SigningKey

Clock = Callable[[], datetime]
"""The time now, in UTC."""
Ids = Callable[[], int]
"""A new Snowflake id. Raises BackendUnavailable while the process has no worker id."""

KeyPlan = Callable[[Sequence[SigningKey]], Sequence[SigningKey]]


class AccountStore(Protocol):
    """Accounts. Every method raises BackendUnavailable when the store is away."""

    async def reserve(self, account: Account) -> Account | None:
        """Puts a pending account in place: None when it was, else the account that has the name."""

    async def activate(
        self, account: Account, session: Session, token_hash: bytes, audit: Sequence[AuditEvent]
    ) -> bool:
        """Makes the account active with its first session; False when its attempt was given up meanwhile."""

    async def abandon(self, account: Account) -> Account | None:
        """Takes over a registration that is not active, so that its attempt can no longer activate it.

        None when it became active, or somebody else took it over, since `account` was read.
        """

    async def remove(self, account: Account) -> None:
        """Deletes an account that this caller abandoned; nothing when it is not theirs any more."""

    async def unfinished(self, created_before: datetime, limit: int) -> Sequence[Account]:
        """The oldest accounts that are not active and were reserved before then."""

    async def find_active(self, username_key: str) -> Account | None:
        """The account that signs in with this name."""

    async def replace_password_hash(self, user_id: int, old: str, new: str) -> None:
        """Stores the password hashed anew, unless it was changed meanwhile."""


class SessionStore(Protocol):
    """Sessions and their refresh tokens. Every method raises BackendUnavailable when the store is away."""

    async def open(self, session: Session, token_hash: bytes, limit: int, audit: AuditEvent) -> Sequence[int]:
        """Adds a session and ends the user's oldest beyond `limit`; gives the ids of those."""

    async def find_by_token(self, token_hash: bytes) -> RefreshToken | None:
        """The refresh token with this hash and its session, alive or not."""

    async def rotate(
        self,
        session: Session,
        token_hash: bytes,
        now: datetime,
        idle_expire_time: datetime,
        address: str | None,
    ) -> bool:
        """Spends the living token for the next; False when somebody else did, or the session ended."""

    async def end(self, session_id: int, reason: EndReason, now: datetime, audit: AuditEvent) -> bool:
        """Ends a session; False when it had ended before."""

    async def not_standing(self, session_ids: Sequence[int], now: datetime) -> Sequence[int]:
        """Those that were ended, expired, or never were."""

    async def purge(self, ended_before: datetime, limit: int) -> int:
        """Deletes sessions that ended or expired before then, with their tokens; gives how many."""


class AuditLog(Protocol):
    """Events that are only ever added."""

    async def append(self, event: AuditEvent) -> None:
        """Adds one event. Raises BackendUnavailable."""


class KeyStore(Protocol):
    """The signing keys of all instances."""

    async def change(self, plan: KeyPlan) -> Sequence[SigningKey]:
        """Replaces the keys by what `plan` makes of them, one caller at a time; gives the result.

        Raises BackendUnavailable.
        """


class KeyForge(Protocol):
    """Makes key pairs and signs with them."""

    def new(self) -> NewKey:
        """A new key pair, its private half sealed."""

    def sign(self, key: SigningKey, claims: dict[str, str | int]) -> str:
        """A compact JWS of the claims. Raises ValueError when the private half cannot be opened."""


class PasswordHasher(Protocol):
    """Slow on purpose, so every method may raise Overloaded."""

    async def hash(self, password: str) -> str:
        """The encoded hash of a new password."""

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether the password belongs to the hash. The same work, and False, when there is none."""

    def needs_rehash(self, encoded: str) -> bool:
        """The hash was made with other parameters than those of now."""


class Profiles(Protocol):
    """The profiles that the user service keeps."""

    async def put(self, user_id: int, username: str, display_name: str, email: str) -> None:
        """Makes the profile. Raises UsernameTaken, EmailTaken, BackendUnavailable."""

    async def remove(self, user_id: int) -> None:
        """Removes the profile for good, so that a `put` that comes later for this id fails.

        Raises BackendUnavailable.
        """


class SessionHints(Protocol):
    """Tells the edges at once that sessions ended. A lost hint costs them 30 s."""

    async def ended(self, session_ids: Sequence[int]) -> None:
        """Tells it as well as can be; never raises."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` in `seconds`, all of them at once if one likes."""

    count: int
    seconds: float


class Limiter(Protocol):
    """Counts what callers do, over all instances as long as the shared memory is there."""

    async def take(self, key: str, rate: Rate) -> float:
        """0 when it is within the rate, else the seconds to wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that hold now. An address that is not known is not limited by address."""

    login_user: Rate
    login_address: Rate
    login_all: Rate
    register_address: Rate
    refresh_session: Rate
