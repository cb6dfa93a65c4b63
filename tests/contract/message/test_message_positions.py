"""Where a partition's owner stands, and who may move it."""

from __future__ import annotations

from services.message.use_cases.sequencing import Result
from tests.contract.message.conftest import PARTITION, World
from tests.support.room_log import joined, rooms_of, sent

(ROOM,) = rooms_of(PARTITION, 1)


def ends(result: Result) -> list[tuple[str, int, str]]:
    """How the records of a result ended."""
    return [(o.disposition.name, o.sequence, o.reason) for plan in result.committed for o in plan.outcomes]


async def test_only_the_owner_goes_on_from_another_offset(world: World) -> None:
    """In a log that has lost records; what was committed stays, and repeats are still known."""
    old = await world.owner()
    world.tape.put_all(joined(ROOM, 1, 1), sent(ROOM, 1, 2))
    await world.write(old)
    new = await world.owner()
    assert not await old.restart(PARTITION, 0)
    assert await new.restart(PARTITION, 0)
    assert (PARTITION in new.positions, PARTITION in old.positions) == (False, False)
    owner = await world.owner()
    assert owner.positions[PARTITION][2:4] == (0, b"")
    world.tape.put(sent(ROOM, 1, 3))
    assert ends(await world.write(owner)) == [
        ("DUPLICATE", 1, ""),
        ("DUPLICATE", 2, ""),
        ("COMMITTED", 3, ""),
    ]


async def test_a_commit_notes_its_time(world: World) -> None:
    """So that a log that has lost records is read on behind it."""
    owner = await world.owner()
    world.tape.put(joined(ROOM, 1, 1))
    before = (await world.writer.positions([PARTITION]))[PARTITION].commit_millis
    await world.write(owner)
    assert (await world.writer.positions([PARTITION]))[PARTITION].commit_millis > before
