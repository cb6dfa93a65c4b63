"""The store of the user service in dicts: the same answers as PostgreSQL, for tests and for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from services.user.domain import Profile, ProfileChange, search_key
from services.user.errors import EmailTaken, UsernameTaken, UserNotFound


class MemoryProfileStore:
    """ProfileStore in dicts."""

    def __init__(self) -> None:
        self._profiles: dict[int, Profile] = {}
        self._removed: dict[int, datetime] = {}

    async def put(self, profile: Profile) -> Profile:
        if profile.user_id in self._removed:
            raise UserNotFound(profile.user_id)
        for other in self._profiles.values():
            if other.user_id == profile.user_id:
                continue
            if search_key(other.username) == search_key(profile.username):
                raise UsernameTaken(profile.username)
            if profile.email and search_key(other.email) == search_key(profile.email):
                raise EmailTaken
        known = self._profiles.get(profile.user_id, profile)
        stored = replace(profile, bio=known.bio, create_time=known.create_time)
        self._profiles[profile.user_id] = stored
        return stored

    async def remove(self, user_id: int, now: datetime) -> None:
        self._profiles.pop(user_id, None)
        self._removed[user_id] = now

    async def get(self, user_ids: Sequence[int]) -> Sequence[Profile]:
        return [self._profiles[user_id] for user_id in sorted(user_ids) if user_id in self._profiles]

    async def update(self, user_id: int, change: ProfileChange) -> Profile | None:
        profile = self._profiles.get(user_id)
        if profile is None:
            return None
        display_name = profile.display_name if change.display_name is None else change.display_name
        bio = profile.bio if change.bio is None else change.bio
        self._profiles[user_id] = replace(profile, display_name=display_name, bio=bio)
        return self._profiles[user_id]

    async def search(self, prefix: str, after: str, limit: int) -> Sequence[Profile]:
        found = [
            profile
            for profile in self._profiles.values()
            if search_key(profile.username) > after
            and (
                search_key(profile.username).startswith(prefix)
                or search_key(profile.display_name).startswith(prefix)
            )
        ]
        return sorted(found, key=lambda profile: search_key(profile.username))[:limit]
