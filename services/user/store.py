"""ProfileStore on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import asyncpg

from chassis.postgres import Pool, acquire
from chassis.sql import load_queries
from services.user.domain import Profile, ProfileChange, after_prefix, search_key
from services.user.errors import EmailTaken, UsernameTaken, UserNotFound

SQL = load_queries("services.user")


class PostgresProfileStore:
    """ProfileStore on the table `profile`; its constraints decide what is taken."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, profile: Profile) -> Profile:
        async with acquire(self._pool) as connection:
            with _taken(profile):
                row = await connection.fetchrow(
                    SQL.put_profile,
                    profile.user_id,
                    profile.username,
                    search_key(profile.username),
                    profile.display_name,
                    search_key(profile.display_name) or None,
                    profile.email,
                    search_key(profile.email) or None,
                    profile.create_time,
                )
        if row is None:
            raise UserNotFound(profile.user_id)
        return _profile(row)

    async def remove(self, user_id: int, now: datetime) -> None:
        async with acquire(self._pool) as connection:
            await connection.execute(SQL.remove_profile, user_id, now)

    async def get(self, user_ids: Sequence[int]) -> Sequence[Profile]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(SQL.get_profiles, user_ids)
        return [_profile(row) for row in rows]

    async def update(self, user_id: int, change: ProfileChange) -> Profile | None:
        name = change.display_name
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(
                SQL.update_profile, user_id, name, search_key(name) if name is not None else None, change.bio
            )
        return _profile(row) if row is not None else None

    async def search(self, prefix: str, after: str, limit: int) -> Sequence[Profile]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(SQL.search_profiles, prefix, after_prefix(prefix), after, limit)
        return [_profile(row) for row in rows]


@contextmanager
def _taken(profile: Profile) -> Iterator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "profile_email_taken":
            raise EmailTaken from error
        raise UsernameTaken(profile.username) from error


def _profile(row: asyncpg.Record) -> Profile:
    return Profile(
        row["user_id"],
        row["username"],
        row["display_name"],
        row["bio"],
        row["email"],
        row["create_time"],
    )
