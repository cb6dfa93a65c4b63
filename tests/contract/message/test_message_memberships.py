"""What joinings and leavings write, and those that change nothing."""

from __future__ import annotations

from services.message.domain import RequestKey
from tests.contract.message.conftest import PARTITION, World, ends, events_of
from tests.support.room_log import joined, left, request_id, rooms_of, sent

ROOM, OTHER_ROOM = rooms_of(PARTITION, 2)


async def test_joining_twice_and_leaving_twice_change_nothing(world: World) -> None:
    """The relay may produce a row twice, or chat may have been restored."""
    owner = await world.owner()
    world.tape.put_all(
        joined(ROOM, 1, 1), joined(ROOM, 1, 1), joined(ROOM, 1, 2), left(ROOM, 1, 3), left(ROOM, 1, 4)
    )
    assert ends(await world.write(owner)) == [
        ("COMMITTED", 1, ""),
        ("DUPLICATE", 1, ""),
        ("DUPLICATE", 1, ""),
        ("COMMITTED", 2, ""),
        ("DUPLICATE", 2, ""),
    ]
    assert [tuple(span) for span in (await world.reader.sight(ROOM, 1)).spans] == [(1, 2)]
    assert len(await events_of(world, ROOM)) == 2


async def test_a_change_without_effect_is_remembered(world: World) -> None:
    """Chat learns that it was read; and read once more, in a log that was cut, it still has no effect."""
    owner = await world.owner()
    world.tape.put_all(left(ROOM, 1, 1), joined(ROOM, 1, 2), joined(ROOM, 1, 3))
    assert ends(await world.write(owner)) == [
        ("DUPLICATE", 0, ""),
        ("COMMITTED", 1, ""),
        ("DUPLICATE", 1, ""),
    ]
    keys = [RequestKey(ROOM, 0, request_id(number)) for number in (1, 2, 3, 4)]
    known = await world.reader.known(keys)
    assert [known[key].sequence if key in known else None for key in keys] == [0, 1, 1, None]
    world.tape.put_all(left(ROOM, 1, 1), left(ROOM, 1, 4), joined(ROOM, 1, 3))
    assert ends(await world.write(owner)) == [
        ("DUPLICATE", 0, ""),
        ("COMMITTED", 2, ""),
        ("DUPLICATE", 1, ""),
    ]
    assert [tuple(span) for span in (await world.reader.sight(ROOM, 1)).spans] == [(1, 2)]


async def test_leaving_and_coming_back_in_one_batch_are_two_memberships(world: World) -> None:
    """The receipt starts at the new join, so that nothing before it is unread."""
    owner = await world.owner()
    world.tape.put_all(
        joined(ROOM, 1, 1), joined(ROOM, 2, 2), left(ROOM, 1, 3), sent(ROOM, 2, 4), joined(ROOM, 1, 5)
    )
    await world.write(owner)
    assert [span.low for span in (await world.reader.sight(ROOM, 1)).spans] == [1, 5]
    assert await world.receipts.standing(ROOM, 1) == (5, 5)
