"""Profiles: made by auth, read by everybody, changed by their owner."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.text import no_nul
from services.user.domain import Profile, ProfileChange
from services.user.errors import UserNotFound
from services.user.ports import Clock, ProfileStore


class Profiles:
    """The profiles of all users."""

    def __init__(self, store: ProfileStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, user_id: int) -> Profile:
        """One profile. Raises UserNotFound."""
        found = await self._store.get([user_id])
        if not found:
            raise UserNotFound(user_id)
        return found[0]

    async def batch_get(self, user_ids: Sequence[int]) -> Sequence[Profile]:
        """The profiles that exist, each once."""
        return await self._store.get(sorted(set(user_ids)))

    async def update(self, user_id: int, change: ProfileChange) -> Profile:
        """Changes the caller's own profile. Raises InvalidField, UserNotFound when the caller has none."""
        no_nul("display_name", change.display_name or "")
        no_nul("bio", change.bio or "")
        profile = await self._store.update(user_id, change)
        if profile is None:
            raise UserNotFound(user_id)
        return profile

    async def put(self, user_id: int, username: str, display_name: str, email: str) -> Profile:
        """Makes the profile of a registration; a repeat gives the same.

        Raises UsernameTaken, EmailTaken; UserNotFound when the registration was given up meanwhile.
        """
        return await self._store.put(
            Profile(user_id, username, display_name, bio="", email=email, create_time=self._clock())
        )

    async def remove(self, user_id: int) -> None:
        """Removes the profile of a registration that was given up, for good."""
        await self._store.remove(user_id, self._clock())
