"""A crowd with its rooms, ready to be told what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.api import Api, User
from tests.support.crowd import Crowd, crowd
from tests.support.crowd_people import new_people, new_rooms
from tests.support.stack import Stack


@dataclass(frozen=True)
class Place:
    """Rooms, who is in them, and the clients of them all. `owner` is in every room and never connects."""

    stack: Stack
    api: Api
    owner: User
    people: Sequence[User]
    members: Mapping[int, Sequence[User]]
    crowd: Crowd

    @property
    def rooms(self) -> list[int]:
        """In the order of the groups they were made of."""
        return list(self.members)


@asynccontextmanager
async def place(stack: Stack, count: int, groups: Sequence[Sequence[int]]) -> AsyncIterator[Place]:
    """So many people, and a room for each group of their numbers; nobody is connected yet."""
    api = Api(stack.http_url)
    try:
        owner, *people = await new_people(stack, count + 1)
        of_group = [[people[number] for number in group] for group in groups]
        rooms = await new_rooms(api, owner, of_group)
        members = dict(zip(rooms, of_group, strict=True))
        async with crowd(stack, people, members) as clients:
            yield Place(stack, api, owner, people, members, clients)
    finally:
        await api.close()


def tables(count: int, size: int) -> list[range]:
    """So many people in groups of this size; everybody is in one."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
