"""Who is in which room, remembered for half a minute so that sending asks no database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from chassis.errors import Failure
from services.chat.domain import Membership
from services.chat.ports import Clock, RoomMember

FRESH_SECONDS = 30.0
MAX_REMEMBERED = 100_000
READ_AT_ONCE = 500

Read = Callable[[Sequence[RoomMember]], Awaitable[Mapping[RoomMember, Membership]]]
Told = Callable[["Membership | Failure | None"], None]


class MemberCache:
    """Memberships that let their user in. One that does not is never remembered: before a refusal the
    store is always read. What it lets through wrongly the log rejects at its place."""

    def __init__(self, read: Read, clock: Clock, *, capacity: int = MAX_REMEMBERED) -> None:
        self._read = read
        self._clock = clock
        self._capacity = capacity
        self._known: dict[RoomMember, tuple[Membership, float]] = {}
        self._asked: dict[RoomMember, list[Told]] = {}
        self._changed: set[RoomMember] = set()
        self._wake = asyncio.Event()

    def get(self, key: RoomMember) -> Membership | None:
        """The membership when it is known and fresh."""
        known = self._known.get(key)
        if known is None or known[1] <= self._clock():
            return None
        return known[0]

    def ask(self, key: RoomMember, told: Told) -> None:
        """Reads the membership; all who asked are told in the order they asked, before anyone `get`s it."""
        self._asked.setdefault(key, []).append(told)
        self._wake.set()

    def forget(self, key: RoomMember) -> None:
        """The membership changed: what is remembered, or is being read now, is no longer believed."""
        self._known.pop(key, None)
        if key in self._asked:
            self._changed.add(key)

    async def run(self) -> None:
        """Reads what was asked for, many at once, until cancelled."""
        while True:
            await self._wake.wait()
            keys = list(self._asked)[:READ_AT_ONCE]
            self._changed.difference_update(keys)
            try:
                found: Mapping[RoomMember, Membership] | Failure = await self._read(keys)
            except Failure as failure:
                found = failure
            for key in keys:
                self._tell(key, found)
            if not self._asked:
                self._wake.clear()

    def _tell(self, key: RoomMember, found: Mapping[RoomMember, Membership] | Failure) -> None:
        if isinstance(found, Failure):
            answer: Membership | Failure | None = found
        elif key in self._changed:
            return  # it changed while it was read; the next round reads it again
        else:
            answer = found.get(key)
            self._remember(key, answer)
        for told in self._asked.pop(key):
            told(answer)

    def _remember(self, key: RoomMember, membership: Membership | None) -> None:
        if membership is None or not membership.joined:
            return
        self._known.pop(key, None)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]
        self._known[key] = (membership, self._clock() + FRESH_SECONDS)
