"""Nothing of a room reaches anyone who was not its member at that sequence (I5)."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.edge_client import Client, Here, client, until
from tests.support.edge_world import message_event


async def sequences(connected: Client, count: int) -> list[int]:
    """The next events' sequences."""
    return [int((await connected.event())["event"]["sequence"]) for _ in range(count)]


async def nothing_more(connected: Client) -> None:
    """What was sent before a request would have come before its reply."""
    await connected.ask(ping={})
    assert connected.events == []


# ---- coming and going ---------------------------------------------------------------------------


async def test_a_room_joined_later_starts_with_its_member_joined(here: Here) -> None:
    here.world.room(7, 2)
    here.world.say(7, 2, "before")
    async with client(here, 1) as ada, client(here, 1) as ada_too, client(here, 2) as ben:
        here.world.join(7, 1)
        here.world.say(7, 2)
        for person in (ada, ada_too, ben):
            first = (await person.event())["event"]
            assert first["sequence"] == "3"
            assert first["memberJoined"]["membership"]["userId"] == "1"
            assert await sequences(person, 1) == [4]
        await nothing_more(ada)


async def test_leaving_ends_the_room_at_exactly_its_sequence(here: Here) -> None:
    """All three in one message on the link: the leaver sees its own leaving and not one event more."""
    here.world.room(7, 1, 2)
    async with client(here, 1) as ada, client(here, 2) as ben:
        here.world.lose_hints = True
        before = here.world.log.append(7, message_event(2, "one"))
        here.world.leave(7, 1)
        here.world.say(7, 2, "secret")
        here.chat.tell(events=[before, *here.world.log.rooms[7][-2:]])
        assert await sequences(ben, 3) == [3, 4, 5]
        assert await sequences(ada, 1) == [3]
        assert "memberLeft" in (await ada.event())["event"]
        await nothing_more(ada)


async def test_joining_in_the_middle_of_a_message_on_the_link(here: Here) -> None:
    here.world.room(7, 2)
    async with client(here, 1) as ada, client(here, 2) as ben:
        here.world.lose_hints = True
        here.world.say(7, 2, "secret")
        here.world.join(7, 1)
        here.world.say(7, 2)
        here.chat.tell(events=here.world.log.rooms[7][-3:])
        assert await sequences(ben, 3) == [2, 3, 4]
        assert await sequences(ada, 2) == [3, 4]
        await nothing_more(ada)


async def test_leaving_while_hello_is_being_answered(here: Here) -> None:
    """Chat read the rooms before the leaving was committed: the event that passed meanwhile decides."""
    here.world.room(7, 1, 2)
    async with client(here, 2) as ben:
        stale = here.world.log.rooms_of(1)
        here.chat.hold_opens = True
        opening = asyncio.create_task(_welcomed(here, 1))
        await until(lambda: any(request.open for request in here.chat.requests[2:]))
        here.world.leave(7, 1)
        assert await sequences(ben, 1) == [3]
        connection_id = next(peer for peer in here.edge.sessions.peers.values() if peer.user is None)
        here.chat.tell(
            opened=[{"connection_id": connection_id.connection.connection_id, "user_id": 1, "rooms": stale}]
        )
        ada, socket = await opening
        try:
            assert ada.welcome.get("rooms", []) == []
            here.world.say(7, 2, "secret")
            assert await sequences(ben, 1) == [4]
            await nothing_more(ada)
        finally:
            await socket.__aexit__(None, None, None)


async def test_a_list_from_before_a_room_began_here_is_asked_for_again(here: Here) -> None:
    """Ben's hello begins the room with a leaving of Ada in it, which neither chat's list nor a hint told."""
    here.world.room(7, 1, 2)
    stale = here.world.log.rooms_of(1)
    here.chat.hold_opens = True
    opening = asyncio.create_task(_welcomed(here, 1))
    await until(lambda: any(request.open for request in here.chat.requests))
    waiting = next(iter(here.edge.sessions.peers.values())).connection.connection_id
    here.world.lose_hints = True
    here.world.leave(7, 1)
    here.chat.hold_opens = False
    async with client(here, 2) as ben:
        here.chat.tell(opened=[{"connection_id": waiting, "user_id": 1, "rooms": stale}])
        ada, socket = await opening
        try:
            assert ada.welcome.get("rooms", []) == []
            here.world.lose_hints = False
            here.world.say(7, 2, "secret")
            assert await sequences(ben, 1) == [4]
            await nothing_more(ada)
        finally:
            await socket.__aexit__(None, None, None)


async def _welcomed(here: Here, user_id: int) -> tuple[Any, Any]:
    manager = client(here, user_id)
    return await manager.__aenter__(), manager


async def test_leaving_and_coming_back_while_what_was_missed_is_read(here: Here) -> None:
    """The room's only member here: the new membership waits for the end of the old one."""
    here.world.room(7, 1, 2)
    for _ in range(3):
        here.world.say(7, 2)
    here.world.read_gate.clear()
    async with client(here, 1, {7: 2}) as ada:
        await until(lambda: bool(here.world.reads))
        here.world.leave(7, 1)
        await until(lambda: 7 not in here.edge.fanout.users[1].rooms)
        here.world.join(7, 1)
        await until(lambda: 7 in here.edge.fanout.users[1].rooms)
        here.world.say(7, 2)
        here.world.read_gate.set()
        assert await sequences(ada, 6) == [3, 4, 5, 6, 7, 8]
        here.world.leave(7, 1)
        assert await sequences(ada, 1) == [9]
        assert not here.edge.fanout.rooms


async def test_a_room_goes_when_who_left_it_has_what_was_missed(here: Here) -> None:
    """Or is gone before."""
    here.world.room(7, 1, 2)
    here.world.say(7, 2)
    for stays in (True, False):
        here.world.read_gate.clear()
        here.world.reads.clear()
        async with client(here, 1, {7: 2}) as ada:
            await until(lambda: bool(here.world.reads))
            here.world.leave(7, 1)
            await until(lambda: 7 not in here.edge.fanout.users[1].rooms)
            here.world.read_gate.set()
            if stays:
                await sequences(ada, here.world.log.head(7) - 2)
        await until(lambda: not here.edge.sessions.peers and not here.edge.fanout.rooms)
        here.world.join(7, 1)


async def test_a_second_connection_sees_a_room_that_the_first_does_not_know_yet(here: Here) -> None:
    """The join's hint was lost; the hello of another device brings it to light for both."""
    here.world.room(7, 2)
    async with client(here, 1) as phone:
        here.world.lose_hints = True
        here.world.join(7, 1)
        here.world.say(7, 2)
        here.world.lose_hints = False
        async with client(here, 1) as laptop:
            assert laptop.welcome["rooms"][0]["headSequence"] == "3"
            assert await sequences(phone, 2) == [2, 3]
            here.world.say(7, 2)
            assert await sequences(phone, 1) == [4]
            assert await sequences(laptop, 1) == [4]
            await nothing_more(phone)
            await nothing_more(laptop)


# ---- signals ------------------------------------------------------------------------------------


async def test_typing_is_shown_to_the_others(here: Here) -> None:
    here.world.room(7, 1, 2)
    async with client(here, 1) as ada, client(here, 2) as ben:
        await ada.send(typing={"roomId": "7"})
        assert await ben.event() == {"typing": {"roomId": "7", "userId": "1"}}
        await nothing_more(ada)


async def test_a_receipt_is_answered_and_shown(here: Here) -> None:
    here.world.room(7, 1, 2)
    async with client(here, 1) as ada, client(here, 2) as ben:
        assert "ok" in await ada.ask(receipt={"roomId": "7", "readSequence": "2"})
        assert await ben.event() == {"receipt": {"roomId": "7", "userId": "1", "readSequence": "2"}}


async def test_a_receipt_is_shown_to_the_user_elsewhere_and_not_to_who_gave_it(here: Here) -> None:
    here.world.room(7, 1)
    async with client(here, 1) as phone, client(here, 1) as desk:
        assert "ok" in await phone.ask(receipt={"roomId": "7", "readSequence": "1"})
        assert "receipt" in await desk.event()
        here.world.say(7, 1)
        assert "event" in await phone.event()
        assert "ok" in await desk.ask(receipt={"roomId": "7", "readSequence": "2"})
        assert (await phone.event())["receipt"]["readSequence"] == "2"
