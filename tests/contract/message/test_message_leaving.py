"""Who leaves while they read: whether they are in and what they see are two reads (I5)."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.paging import PageTokens
from services.message.errors import MessageNotFound
from services.message.use_cases.history import Asked, History
from tests.contract.message.conftest import PARTITION, World
from tests.support.room_log import joined, left, rooms_of, sent

(ROOM,) = rooms_of(PARTITION, 1)
TOKENS = PageTokens(b"key")


class LeftMeanwhile:
    """A reader that finds the user a member; the leaving and a message after it are committed behind that."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def sight(self, room_id: int, user_id: int) -> Any:
        found = await self._world.reader.sight(room_id, user_id)
        self._world.tape.put_all(left(ROOM, user_id, 4), sent(ROOM, 1, 5))
        await self._world.write(await self._world.owner())
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.reader, name)


@pytest.fixture
async def leaving(world: World) -> History:
    """User 2 may see 2 and 3, and leaves at 4 while the first thing is read; 5 is sent then."""
    world.tape.put_all(joined(ROOM, 1, 1), joined(ROOM, 2, 2), sent(ROOM, 1, 3))
    await world.write(await world.owner())
    return History(LeftMeanwhile(world), TOKENS)


async def test_events_end_where_they_were_a_member(leaving: History) -> None:
    assert [event.sequence for event in (await leaving.events(2, Asked(ROOM)))[0]] == [2, 3]


async def test_messages_end_where_they_were_a_member(leaving: History) -> None:
    assert [message.sequence for message in (await leaving.messages(2, Asked(ROOM)))[0]] == [3]


async def test_a_message_from_after_they_left_is_not_found(leaving: History) -> None:
    with pytest.raises(MessageNotFound):
        await leaving.message(2, ROOM, 1_000_005)
