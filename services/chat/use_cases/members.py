"""Who is in which room, remembered for five minutes so that sending asks no database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from chassis.errors import BackendUnavailable, Failure, Overloaded
from services.chat.domain import Membership
from services.chat.ports import Clock, RoomMember

FRESH_SECONDS = 300.0
MAX_REMEMBERED = 100_000
READ_AT_ONCE = 500
READ_SECONDS = 2.0
"""Then those who ask are told that it cannot be read now; a sender is to have an answer within 5 s."""
MAX_WAITING = 10_000
"""Who ask and have not been told."""

Read = Callable[[Sequence[RoomMember]], Awaitable[Mapping[RoomMember, Membership]]]
Told = Callable[["Membership | Failure | None"], None]


class MemberCache:
    """Memberships that let their user in. One that does not is never remembered: before a refusal the
    store is always read. What it lets through wrongly the log rejects at its place."""

    def __init__(
        self,
        read: Read,
        clock: Clock,
        *,
        capacity: int = MAX_REMEMBERED,
        max_waiting: int = MAX_WAITING,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._read = read
        self._clock = clock
        self._capacity = capacity
        self._max_waiting = max_waiting
        self._read_seconds = read_seconds
        self._waiting = 0
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
        """Reads the membership; all who asked are told in the order they asked, before anyone `get`s it.

        Raises Overloaded.
        """
        if self._waiting >= self._max_waiting:
            raise Overloaded(retry_after=1.0)
        self._waiting += 1
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
            found = await self._look(keys)
            if isinstance(found, Failure):
                self._tell_all(found)
            else:
                self._tell_read(keys, found)
            if not self._asked:
                self._wake.clear()

    async def _look(self, keys: Sequence[RoomMember]) -> Mapping[RoomMember, Membership] | Failure:
        try:
            async with asyncio.timeout(self._read_seconds):
                return await self._read(keys)
        except TimeoutError:
            return BackendUnavailable("postgres")
        except Failure as failure:
            return failure

    def _tell_read(self, keys: Sequence[RoomMember], found: Mapping[RoomMember, Membership]) -> None:
        for key in keys:
            if key in self._changed:
                continue  # it changed while it was read; the next round reads it again
            membership = found.get(key)
            self._remember(key, membership)
            self._tell(key, membership)

    def _tell_all(self, failure: Failure) -> None:
        """Also those whose turn to be read has not come: they would wait for the same."""
        for key in list(self._asked):
            self._tell(key, failure)
        self._changed.clear()

    def _tell(self, key: RoomMember, answer: Membership | Failure | None) -> None:
        waiting = self._asked.pop(key)
        self._waiting -= len(waiting)
        for told in waiting:
            told(answer)

    def _remember(self, key: RoomMember, membership: Membership | None) -> None:
        if membership is None or not membership.joined:
            return
        self._known.pop(key, None)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]
        self._known[key] = (membership, self._clock() + FRESH_SECONDS)
