"""Clients that miss the same share one read of the log, and nobody sees what they may not."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.support.edge_client import Here, client, open_here, until

ROOM, MISSED = 7, 150
"""More than the ring of a room holds, fewer than a gap takes."""


async def missed_by(here: Here, *users: int) -> int:
    """A room of these users with a log that this edge has not seen; the cursor before it."""
    here.world.room(ROOM, *users)
    cursor = here.world.log.head(ROOM)
    for number in range(MISSED):
        here.world.say(ROOM, users[0], f"missed {number}")
    return cursor


async def test_a_cold_room_is_read_once_for_all_who_open_it() -> None:
    async with open_here() as here, AsyncExitStack() as clients:
        users = range(1, 31)
        cursor = await missed_by(here, *users)
        here.world.read_gate.clear()
        connected = [await clients.enter_async_context(client(here, user, {ROOM: cursor})) for user in users]
        await until(lambda: here.world.reads != [])
        here.world.read_gate.set()
        for one in connected:
            got = [int((await one.event())["event"]["sequence"]) for _ in range(MISSED)]
            assert got == list(range(cursor + 1, cursor + MISSED + 1))
        assert len([asked for call in here.world.reads for asked in call]) <= 2


async def test_who_left_sees_nothing_after_it_though_others_share_the_read() -> None:
    """The edge has not heard yet that they left: the event in the read is the first it hears of it."""
    async with open_here() as here:
        cursor = await missed_by(here, 1, 2)
        here.world.read_gate.clear()
        async with client(here, 1, {ROOM: cursor}) as stays, client(here, 2, {ROOM: cursor}) as leaves:
            await until(lambda: here.world.reads != [])
            here.world.lose_hints = True
            here.world.leave(ROOM, 2)
            secret = here.world.say(ROOM, 1, "secret")
            here.world.read_gate.set()
            until_left = [await leaves.event() for _ in range(MISSED + 1)]
            assert until_left[-1]["event"]["memberLeft"]["userId"] == "2"
            here.world.lose_hints = False
            here.chat.heads(ROOM)
            told = [await stays.event() for _ in range(MISSED + 2)]
            assert int(told[-1]["event"]["sequence"]) == secret
            await leaves.send(id=5, ping={})
            assert "pong" in await leaves.frame()
