"""auth on memory stores, with fakes that behave: a clock that is set, profiles that refuse what is taken."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chassis.errors import BackendUnavailable, Overloaded
from services.auth.domain import Account, AuditEvent, Session, TokenPair, username_key
from services.auth.errors import EmailTaken, UsernameTaken
from services.auth.forge import Es256Forge
from services.auth.limiter import LocalLimiter
from services.auth.memory import (
    MemoryAccountStore,
    MemoryAuditLog,
    MemoryKeyStore,
    MemorySessionStore,
    Tables,
)
from services.auth.passwords import common_passwords
from services.auth.ports import Limits, Profiles, Rate
from services.auth.use_cases.limits import SignInLimits
from services.auth.use_cases.login import Login
from services.auth.use_cases.pairs import TokenPairs
from services.auth.use_cases.registration import NewUser, Registration
from services.auth.use_cases.sessions import Sessions
from services.auth.use_cases.signing_keys import SigningKeys

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
NO_LIMIT = Rate(1_000_000, 1.0)
UNLIMITED = Limits(NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT)


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        """The same as a Unix time."""
        return self.now.timestamp()

    def pass_time(self, step: timedelta) -> None:
        """Moves on."""
        self.now += step


class PlainHasher:
    """PasswordHasher at no cost; `checks` counts verifications, a higher `version` makes older
    hashes outdated, and a `full` queue refuses."""

    def __init__(self) -> None:
        self.version = 1
        self.checks = 0
        self.full = False

    async def hash(self, password: str) -> str:
        return f"v{self.version}:{password}"

    async def verify(self, encoded: str | None, password: str) -> bool:
        self.checks += 1
        if self.full:
            raise Overloaded(retry_after=1.0)
        return encoded is not None and encoded.partition(":")[2] == password

    def needs_rehash(self, encoded: str) -> bool:
        return not encoded.startswith(f"v{self.version}:")


class FakeProfiles:
    """The user service in a dict: keeps names and emails unique, and never revives what was removed.

    `before_put`, `after_put` and `before_remove` are called at those moments and may raise.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.emails: dict[int, str] = {}
        self.removed: set[int] = set()
        self.before_put: Callable[[], None] = lambda: None
        self.after_put: Callable[[], None] = lambda: None
        self.before_remove: Callable[[], None] = lambda: None

    async def put(self, user_id: int, username: str, display_name: str, email: str) -> None:
        self.before_put()
        if user_id in self.removed:
            raise BackendUnavailable("user")
        if any(n == username_key(username) for i, n in self.names.items() if i != user_id):
            raise UsernameTaken(username)
        if email and any(e == email.lower() for i, e in self.emails.items() if i != user_id):
            raise EmailTaken
        self.names[user_id] = username_key(username)
        if email:
            self.emails[user_id] = email.lower()
        self.after_put()

    async def remove(self, user_id: int) -> None:
        self.before_remove()
        self.names.pop(user_id, None)
        self.emails.pop(user_id, None)
        self.removed.add(user_id)


def away() -> None:
    """What a call finds when the user service is down."""
    raise BackendUnavailable("user")


async def nothing() -> None:
    """A hook that does nothing."""


class HookedAccountStore(MemoryAccountStore):
    """Calls `before_activate` and `after_activate`, which may take time or raise."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.before_activate: Callable[[], Awaitable[None]] = nothing
        self.after_activate: Callable[[], Awaitable[None]] = nothing

    async def activate(
        self, account: Account, session: Session, token_hash: bytes, audit: Sequence[AuditEvent]
    ) -> bool:
        await self.before_activate()
        active = await super().activate(account, session, token_hash, audit)
        await self.after_activate()
        return active


class HeardHints:
    """SessionHints that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    async def ended(self, session_ids: Sequence[int]) -> None:
        self.heard.extend(session_ids)


@dataclass
class World:
    """Everything of one auth service."""

    tables: Tables = field(default_factory=Tables)
    clock: Clock = field(default_factory=Clock)
    hasher: PlainHasher = field(default_factory=PlainHasher)
    profiles: FakeProfiles = field(default_factory=FakeProfiles)
    remote_profiles: Profiles | None = None
    hints: HeardHints = field(default_factory=HeardHints)
    limits: Limits = field(default_factory=lambda: UNLIMITED)
    rotation: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        numbers = itertools.count(1001)
        ids = numbers.__next__
        forge = Es256Forge(b"k" * 32)
        self.accounts = accounts = HookedAccountStore(self.tables)
        sessions = MemorySessionStore(self.tables)
        audit = MemoryAuditLog(self.tables)
        self.keys = SigningKeys(MemoryKeyStore(self.tables), forge, self.clock, self.rotation)
        pairs = TokenPairs(self.keys, forge, self.clock, b"r" * 32)
        limits = SignInLimits(LocalLimiter(self.clock.seconds), lambda: self.limits)
        self.registration = Registration(
            accounts,
            self.remote_profiles or self.profiles,
            self.hasher,
            limits,
            pairs,
            ids,
            self.clock,
            common_passwords(),
        )
        self.login_case = Login(
            accounts, sessions, audit, self.hasher, limits, self.hints, pairs, ids, self.clock
        )
        self.sessions = Sessions(sessions, self.hints, limits, pairs, self.clock)

    async def start(self) -> World:
        """Makes the first signing key."""
        await self.keys.refresh()
        return self

    async def register(
        self,
        username: str = "ada",
        email: str = "",
        address: str | None = None,
        password: str = PASSWORD,
    ) -> TokenPair:
        """Registers with the usual password, unless another is given."""
        return await self.registration.register(NewUser(username, password, "", email, "phone"), address)

    async def login(
        self, username: str = "ada", password: str = PASSWORD, address: str | None = None
    ) -> TokenPair:
        """Signs in."""
        return await self.login_case.login(username, password, "laptop", address)

    def audited(self) -> list[str]:
        """The kinds of the audit events so far."""
        return [str(event.kind) for event in self.tables.audit]
