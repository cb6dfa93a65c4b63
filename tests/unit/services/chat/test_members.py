"""The cache of memberships while the store is slow or away: who asks is told soon, and only so many may."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from chassis.errors import BackendUnavailable, Overloaded
from services.chat.domain import Membership
from services.chat.ports import RoomMember
from services.chat.use_cases.members import READ_AT_ONCE, MemberCache, Told
from tests.support.chat_world import Time, running, settle

ROOM = 70


class Store:
    """Never answers, or fails, or knows everybody."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.away = False
        self.reads = 0

    async def read(self, keys: Sequence[RoomMember]) -> Mapping[RoomMember, Membership]:
        self.reads += 1
        if self.away:
            raise BackendUnavailable("postgres")
        await self.answers.wait()
        return {key: Membership(*key) for key in keys}


async def told_of(cache: MemberCache, users: int) -> list[object]:
    """Asks for so many users and gives what they were told."""
    told: list[object] = []
    everybody = asyncio.Event()

    def tell(answer: object) -> None:
        told.append(answer)
        if len(told) == users:
            everybody.set()

    told_as: Told = tell
    for user_id in range(1, users + 1):
        cache.ask((ROOM, user_id), told_as)
    async with asyncio.timeout(5):
        await everybody.wait()
    return told


@pytest.mark.parametrize("away", [False, True])
async def test_all_who_ask_are_told_when_the_store_does_not_answer(away: bool) -> None:
    """Also who is past the first read: each further one would take as long again."""
    store = Store()
    store.away = away
    cache = MemberCache(store.read, Time(), read_seconds=0.01)
    async with running(cache.run):
        told = await told_of(cache, 2 * READ_AT_ONCE + 1)
        assert {type(answer) for answer in told} == {BackendUnavailable}
        assert store.reads == 1
        store.away = False
        store.answers.set()
        assert await told_of(cache, 1) == [Membership(ROOM, 1)]


async def test_no_more_than_so_many_may_wait() -> None:
    """The next one is overloaded; when the others were told there is room again."""
    store = Store()
    cache = MemberCache(store.read, Time(), max_waiting=2, read_seconds=0.01)
    told: list[object] = []
    cache.ask((ROOM, 1), told.append)
    cache.ask((ROOM, 1), told.append)
    with pytest.raises(Overloaded):
        cache.ask((ROOM, 2), told.append)
    store.answers.set()
    async with running(cache.run):
        await settle()
        assert await told_of(cache, 2) == [Membership(ROOM, 1), Membership(ROOM, 2)]
    assert told == [Membership(ROOM, 1)] * 2
