"""What the user service's use cases need from the outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from services.user.domain import Profile, ProfileChange

Clock = Callable[[], datetime]
"""The time now, in UTC."""


class ProfileStore(Protocol):
    """Profiles. Every method raises BackendUnavailable when the store is away."""

    async def put(self, profile: Profile) -> Profile:
        """Makes the profile, or overwrites it but for bio and time; gives what is stored.

        Raises UsernameTaken, EmailTaken; UserNotFound when the profile was removed.
        """

    async def remove(self, user_id: int, now: datetime) -> None:
        """Removes the profile and remembers that, also when there was none yet: no `put` brings it back."""

    async def get(self, user_ids: Sequence[int]) -> Sequence[Profile]:
        """Those of the profiles that exist, by user id."""

    async def update(self, user_id: int, change: ProfileChange) -> Profile | None:
        """Changes a profile and gives the result; None when there is none."""

    async def search(self, prefix: str, after: str, limit: int) -> Sequence[Profile]:
        """Profiles whose username or display name has the prefix, from the first username after `after` on.

        `prefix` and `after` are search keys; the order is that of the usernames' keys.
        """
