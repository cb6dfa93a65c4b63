"""The room lists that an edge is told: none is older than what the edge hears before it."""

from __future__ import annotations

import asyncio
import uuid

from services.chat.use_cases.sending import draft
from tests.support.chat_rig import ANN, BOB, Rig, opening
from tests.support.chat_world import caller, settle


async def test_what_was_committed_while_the_list_came_is_told_as_a_head(rig: Rig) -> None:
    """Heads are read again when the room is listened to; the edge fetches the rest."""
    room_id = await rig.group()
    rig.world.log.publish = lambda _event: None
    read = rig.world.log.all_rooms

    async def late(user_ids):  # type: ignore[no-untyped-def]
        lists = await read(user_ids)
        await rig.world.memberships.add(caller(ANN), room_id, [BOB])
        return lists

    rig.world.log.all_rooms = late  # type: ignore[method-assign]
    rig.say(open=[opening(5, ANN)])
    await rig.until("heads")
    assert rig.said.opened[0].rooms[0].head_sequence == 1
    assert [(h.room_id, h.head_sequence) for h in rig.said.heads] == [(room_id, 2)]


async def test_what_overtook_the_list_is_told_as_a_head_after_it(rig: Rig) -> None:
    """It may have gone to others only. The list stays as it was read: its counts go with its heads (I6)."""
    room_id = await rig.group(BOB)
    rig.say(open=[opening(6, BOB)])
    await rig.until("opened")
    read = rig.world.log.all_rooms

    async def overtaken(user_ids):  # type: ignore[no-untyped-def]
        lists = await read(user_ids)
        await rig.world.sending.send(BOB, draft(room_id, str(uuid.uuid4()), "hi"))
        return lists

    rig.world.log.all_rooms = overtaken  # type: ignore[method-assign]
    rig.say(open=[opening(5, ANN)])
    await rig.until("heads")
    assert [event.sequence for event in rig.said.events] == [3]
    assert rig.said.opened[1].rooms[0].head_sequence == 2
    assert [(head.room_id, head.head_sequence) for head in rig.said.heads] == [(room_id, 3)]


async def test_a_list_that_waited_while_its_user_left_is_read_again(rig: Rig) -> None:
    """The edge takes its time, and hears of the leaving before the list: that may not be older (I5)."""
    room_id = await rig.group(BOB)
    rig.say(open=[opening(5, BOB)])
    await rig.until("opened")
    calm, taken = rig.output.calm, asyncio.Event()
    waits: list[None] = []

    async def slow() -> None:
        waits.append(None)
        if len(waits) == 2:  # the list is read, and not told
            await taken.wait()
        await calm()

    rig.output.calm = slow  # type: ignore[method-assign]
    rig.say(open=[opening(5, BOB)])
    await settle()
    await rig.world.memberships.leave(BOB, room_id)
    await settle()
    taken.set()
    await rig.until("opened", 2)
    assert [event.left_user_ids for event in rig.said.events] == [[BOB]]
    assert [[room.room_id for room in opened.rooms] for opened in rig.said.opened] == [[room_id], []]
