"""The Python SDK against the real stack: two clients talk, and a cut connection is nobody's loss."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat_sdk import Chat, PolychatError, register, sign_in

from tests.support.stack import Stack

PASSWORD = "correct horse battery"


@pytest.fixture
async def chats(stack: Stack) -> AsyncIterator[tuple[Chat, Chat]]:
    """Two new users, connected."""
    async with AsyncExitStack() as open_ones:
        connected = []
        for name in ("anna", "bert"):
            tokens = await register(stack.http_url, f"{name}-{secrets.token_hex(4)}", PASSWORD)
            open_ones.push_async_callback(tokens.close)
            connected.append(await open_ones.enter_async_context(Chat(stack.http_url, tokens)))
        yield connected[0], connected[1]


async def texts(chat: Chat, room_id: int, count: int) -> list[str]:
    """The next texts of a room; every event passes by in order."""
    found: list[str] = []
    async with asyncio.timeout(30):
        async for event in chat.events():
            if event.room_id == room_id and event.HasField("message_created"):
                found.append(event.message_created.message.text)
            if len(found) == count:
                break
    return found


async def cut(chat: Chat) -> None:
    """Cuts the socket as a network would: without a close frame."""
    socket = chat._connection._socket
    assert socket is not None
    socket.transport.abort()
    await asyncio.wait_for(socket.wait_closed(), 10)


async def test_two_clients_talk(chats: tuple[Chat, Chat]) -> None:
    """What one sends both receive, and the answer says where it stands."""
    anna, bert = chats
    room = await anna.open_direct_room(bert.user.user_id)
    sent = await anna.send(room.room_id, "hello")
    assert await texts(bert, room.room_id, 1) == ["hello"]
    assert await texts(anna, room.room_id, 1) == ["hello"]
    assert (await bert.list_rooms())[0].unread_count == 1
    await bert.read(room.room_id, sent.sequence)
    assert (await bert.list_rooms())[0].unread_count == 0


async def test_a_cut_reader_misses_nothing(chats: tuple[Chat, Chat]) -> None:
    """More than a replay holds is said while it is away: it pages the rest, and order is kept."""
    anna, bert = chats
    room = await anna.open_direct_room(bert.user.user_id)
    await anna.send(room.room_id, "0")
    assert await texts(bert, room.room_id, 1) == ["0"]
    await cut(bert)
    said = [str(number) for number in range(1, 251)]
    for text in said:
        await anna.send(room.room_id, text)
    assert await texts(bert, room.room_id, len(said)) == said


async def test_a_cut_sender_sends_once(chats: tuple[Chat, Chat]) -> None:
    """Sends go on over cut connections, and each message is there exactly once, in order."""
    anna, bert = chats
    room = await anna.open_direct_room(bert.user.user_id)
    said = [str(number) for number in range(30)]

    async def talk() -> None:
        for number, text in enumerate(said):
            if number % 10 == 5:
                await cut(anna)
            await anna.send(room.room_id, text)

    talking = asyncio.create_task(talk())
    assert await texts(bert, room.room_id, len(said)) == said
    await talking


async def test_a_room_joined_later_begins_with_the_joining(chats: tuple[Chat, Chat]) -> None:
    """A public room: the newcomer sees their own coming first, and nothing from before it."""
    anna, bert = chats
    room = await anna.create_room("Later", public=True)
    await anna.send(room.room_id, "before")
    await bert.join_room(room.room_id)
    await anna.send(room.room_id, "after")
    seen: list[RoomEvent] = []
    async with asyncio.timeout(30):
        async for event in bert.events():
            if event.room_id == room.room_id:
                seen.append(event)
            if len(seen) == 2:
                break
    assert [event.WhichOneof("payload") for event in seen] == ["member_joined", "message_created"]
    assert seen[1].message_created.message.text == "after"


async def test_a_room_joined_while_away_is_told_from_its_beginning(chats: tuple[Chat, Chat]) -> None:
    """Opened and talked in while the other was cut off: after the resume nothing of it is missing."""
    anna, bert = chats
    await cut(bert)
    room = await anna.open_direct_room(bert.user.user_id)
    for text in ("one", "two"):
        await anna.send(room.room_id, text)
    assert await texts(bert, room.room_id, 2) == ["one", "two"]


async def test_refusals_come_with_their_reason(stack: Stack, chats: tuple[Chat, Chat]) -> None:
    """A send that is not allowed, a name that is taken, a password that is wrong."""
    anna, bert = chats
    room = await anna.create_room("Alone")
    for attempt, reason in (
        (bert.send(room.room_id, "let me in"), "NOT_A_MEMBER"),
        (anna.send(room.room_id, "x" * 16_385), "INVALID_FIELD"),
        (register(stack.http_url, anna.user.username, PASSWORD), "USERNAME_TAKEN"),
        (sign_in(stack.http_url, anna.user.username, "wrong password").__aenter__(), "INVALID_CREDENTIALS"),
    ):
        with pytest.raises(PolychatError) as caught:
            await attempt
        assert caught.value.reason == reason
