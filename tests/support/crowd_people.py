"""People for a crowd, thousands at once: written where Register would write them, without its argon2id."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from chassis.ids import Snowflake
from services.auth.domain import username_key
from services.auth.forge import Es256Forge, derive_key
from services.auth.key_rotation import KeyState, SigningKey
from services.auth.use_cases.pairs import AUDIENCE, CLAIMS_VERSION, ISSUER
from tests.support.api import Api, User
from tests.support.stack import Stack

WORKER = 1023
"""Far above what the leases of one stack reach, so that no id is given twice."""
TOKEN_SECONDS = 3600
"""Longer than a real token, so that no measurement is about refreshing."""
NO_PASSWORD = "!"
"""No hash at all: nobody signs in as one of these."""
AT_ONCE = 8
ADDED_AT_ONCE = 100
"""As many as AddMembers takes."""

_ids = Snowflake(lambda: WORKER)


async def new_people(stack: Stack, count: int, name: str = "crowd") -> list[User]:
    """Users with a profile, a session and an access token of their own."""
    now = datetime.now(UTC)
    names = [f"{name}-{number}-{secrets.token_hex(4)}" for number in range(count)]
    rows = [(_ids.next(), _ids.next(), one) for one in names]
    connection = await asyncpg.connect(stack.postgres_dsn, ssl=False)
    try:
        async with connection.transaction():
            await _write(connection, rows, now)
        key = await _signing_key(connection)
    finally:
        await connection.close()
    forge = Es256Forge(derive_key(stack.secret("signing-key.secret").encode(), "signing keys"))
    return [User(user, one, _token(forge, key, user, session), "") for user, session, one in rows]


async def _write(
    connection: asyncpg.Connection[asyncpg.Record], rows: Sequence[tuple[int, int, str]], now: datetime
) -> None:
    later = now + timedelta(days=30)
    await connection.executemany(
        "INSERT INTO auth.account"
        " (user_id, username, username_key, password_hash, state, attempt, create_time)"
        " VALUES ($1, $2, $3, $4, 'active', 1, $5)",
        [(user, name, username_key(name), NO_PASSWORD, now) for user, _, name in rows],
    )
    await connection.executemany(
        "INSERT INTO auth.session (session_id, user_id, device_name, seed, generation, create_time,"
        " last_refresh_time, idle_expire_time, expire_time) VALUES ($1, $2, 'crowd', $3, 1, $4, $4, $5, $5)",
        [(session, user, secrets.token_bytes(16), now, later) for user, session, _ in rows],
    )
    await connection.executemany(
        'INSERT INTO "user".profile (user_id, username, username_key, display_name, create_time)'
        " VALUES ($1, $2, $3, $2, $4)",
        [(user, name, username_key(name), now) for user, _, name in rows],
    )


async def _signing_key(connection: asyncpg.Connection[asyncpg.Record]) -> SigningKey:
    row = await connection.fetchrow("SELECT * FROM auth.signing_key WHERE state = 'current'")
    assert row is not None, "auth has not made a signing key yet"
    return SigningKey(
        row["kid"],
        KeyState.CURRENT,
        json.loads(row["public_jwk"]),
        row["sealed_private"],
        row["not_before"],
        row["not_after"],
    )


def _token(forge: Es256Forge, key: SigningKey, user_id: int, session_id: int) -> str:
    now = int(time.time())
    claims: dict[str, str | int] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "sid": str(session_id),
        "jti": secrets.token_urlsafe(12),
        "iat": now,
        "nbf": now,
        "exp": now + TOKEN_SECONDS,
        "ver": CLAIMS_VERSION,
    }
    return forge.sign(key, claims)


async def new_rooms(api: Api, owner: User, members: Sequence[Sequence[User]]) -> list[int]:
    """A room of `owner` for each group of members, a few at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(group: Sequence[User]) -> int:
        async with gate:
            room = await api.create_room(owner, group[:ADDED_AT_ONCE])
            for start in range(ADDED_AT_ONCE, len(group), ADDED_AT_ONCE):
                user_ids = [str(user.user_id) for user in group[start : start + ADDED_AT_ONCE]]
                added = {"roomId": str(room), "userIds": user_ids}
                await api.call_again("MembershipService/AddMembers", added, owner)
            return room

    return await asyncio.gather(*(one(group) for group in members))
