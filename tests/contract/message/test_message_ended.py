"""Memberships that are over, as chat is told them beside the lists of rooms."""

from __future__ import annotations

from services.message.use_cases.log_reading import LogReading
from tests.contract.message.conftest import PARTITION, World
from tests.support.room_log import joined, left, rooms_of

ROOM, OTHER_ROOM = rooms_of(PARTITION, 2)


async def test_memberships_that_ended_last_are_told(world: World) -> None:
    """Per user, each with its first and last sequence, ascending; one that goes on is none of them."""
    owner = await world.owner()
    world.tape.put_all(joined(ROOM, 1, 1), joined(ROOM, 2, 2), joined(OTHER_ROOM, 2, 11))
    await world.write(owner)
    for room_id, user_id, key in ((ROOM, 2, 3), (OTHER_ROOM, 2, 12)):
        world.tape.put(left(room_id, user_id, key))
        await world.write(owner)
    world.tape.put(joined(ROOM, 2, 4))
    await world.write(owner)
    world.tape.put(left(ROOM, 2, 5))
    await world.write(owner)
    world.tape.put(joined(ROOM, 2, 6))
    await world.write(owner)
    ended = [(OTHER_ROOM, 1, 2), (ROOM, 2, 3), (ROOM, 4, 5)]
    assert await LogReading(world.reader).ended([1, 2]) == {2: ended}
    assert await world.reader.ended([2], 2) == {2: [ended[0], ended[2]]}


async def test_a_membership_that_ended_two_days_ago_is_told_no_more(on_postgres: World) -> None:
    """Nor one that ended under a version that did not note when."""
    world = on_postgres
    owner = await world.owner()
    for key in (1, 3, 5):
        world.tape.put(joined(ROOM, 1, key))
        world.tape.put(left(ROOM, 1, key + 1))
        await world.write(owner)
    for sequence, when in ((1, "now() - interval '2 days'"), (3, "NULL")):
        statement = f"UPDATE membership SET left_time = {when} WHERE joined_sequence = {sequence}"  # noqa: S608
        await world.pool.execute(statement)
    assert await LogReading(world.reader).ended([1]) == {1: [(ROOM, 5, 6)]}


async def test_a_clock_that_was_set_back_does_not_change_the_order_of_memberships(on_postgres: World) -> None:
    """The edge shows them as they come."""
    world = on_postgres
    world.tape.put_all(joined(ROOM, 1, 1), left(ROOM, 1, 2), joined(ROOM, 1, 3), left(ROOM, 1, 4))
    await world.write(await world.owner())
    await world.pool.execute(
        "UPDATE membership SET left_time = left_time - interval '1 hour' WHERE joined_sequence = 3"
    )
    assert await LogReading(world.reader).ended([1]) == {1: [(ROOM, 1, 2), (ROOM, 3, 4)]}
