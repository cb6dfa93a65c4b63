"""The SDK's connection against a server that does not behave: nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.message.v1.message_service_pb2 import ListEventsRequest, ListEventsResponse
from polychat_sdk import PolychatError
from polychat_sdk import client as sdk_client
from polychat_sdk.errors import Stopped
from websockets.asyncio.server import ServerConnection

from tests.support.sdk_server import client_of, frame_bytes


async def welcome(socket: ServerConnection, heartbeat_millis: int = 25_000) -> None:
    """Answers hello, then stays silent until the client goes."""
    frame = ServerFrame(id=1)
    frame.welcome.heartbeat.FromMilliseconds(heartbeat_millis)
    await socket.send(frame.SerializeToString())
    await socket.wait_closed()


async def test_a_server_that_falls_silent_is_left_for_the_next() -> None:
    """TCP may hold a dead connection for hours; two missed heartbeats do not."""
    second = asyncio.Event()

    async def play(socket: ServerConnection, number: int) -> None:
        if number == 2:
            second.set()
        await welcome(socket, heartbeat_millis=20)

    async with client_of(play) as (chat, _tokens), chat:
        await second.wait()


async def test_an_access_token_that_expired_unnoticed_is_renewed() -> None:
    """As after a sleep of the machine: the refusal of hello is no reason to give up."""

    async def play(socket: ServerConnection, number: int) -> None:
        if number == 1:
            frame = ServerFrame(id=1)
            frame.error.code, frame.error.reason = "UNAUTHENTICATED", "TOKEN_EXPIRED"
            await socket.send(frame.SerializeToString())
            await socket.close(4101)
        else:
            await welcome(socket)

    async with client_of(play) as (chat, tokens), chat:
        assert tokens.asked_fresh == [False, True]


async def test_a_close_for_good_before_the_welcome_stops_the_client() -> None:
    """42xx says that another attempt would not help."""

    async def play(socket: ServerConnection, _number: int) -> None:
        await socket.close(4205)

    async with client_of(play) as (chat, _tokens):
        with pytest.raises(Stopped) as stopped:
            await chat.__aenter__()
    assert stopped.value.close_code == 4205


async def test_a_close_for_good_ends_the_events() -> None:
    """Who waits for the next event is told, and every later one too."""

    async def play(socket: ServerConnection, _number: int) -> None:
        frame = ServerFrame(id=1)
        frame.welcome.SetInParent()
        await socket.send(frame.SerializeToString())
        await socket.close(4203)

    async with client_of(play) as (chat, _tokens), chat:
        for _ in range(2):
            with pytest.raises(Stopped):
                await anext(chat.events())


async def test_a_restored_server_is_believed_from_its_welcome_on() -> None:
    """The line breaks before the `gap` comes: the next hello has the new epoch and nothing of the room, and
    who reads events is told to forget it between the last old event and the first new one."""
    room, epoch = 7, 1_790_000_000_000

    async def say(socket: ServerConnection, *message_ids: int) -> None:
        for sequence, message_id in enumerate(message_ids, start=1):
            frame = ServerFrame()
            frame.event.room_id, frame.event.sequence = room, sequence
            frame.event.message_created.message.message_id = message_id
            await socket.send(frame.SerializeToString())

    async def play(socket: ServerConnection, number: int) -> None:
        frame = ServerFrame(id=number)  # each hello has the next id
        frame.welcome.rooms.add(room_id=room, head_sequence=0 if number == 1 else 2)
        frame.welcome.log_epoch = 0 if number == 1 else epoch
        if number == 2:
            frame.welcome.reset_room_ids.append(room)
        await socket.send(frame.SerializeToString())
        if number == 1:
            await say(socket, 101, 102)
        if number == 3:
            await say(socket, 201, 202)
            await socket.wait_closed()

    seen: list[int] = []
    async with client_of(play, on_reset=lambda room_id: seen.append(-room_id)) as (chat, tokens), chat:
        async for event in chat.events():
            seen.append(event.message_created.message.message_id)
            if seen[-1] == 202:
                break
        assert seen == [101, 102, -room, 201, 202]
        told = [(hello.log_epoch, [cursor.sequence for cursor in hello.rooms]) for hello in tokens.hellos]
        assert told == [(0, []), (0, [2]), (epoch, [0])]


async def test_a_closed_client_leaves_no_send_waiting() -> None:
    """A send without an answer ends with its client."""
    asked = asyncio.Event()

    async def play(socket: ServerConnection, _number: int) -> None:
        frame = ServerFrame(id=1)
        frame.welcome.SetInParent()
        await socket.send(frame.SerializeToString())
        await socket.recv()
        asked.set()
        await socket.wait_closed()

    async with client_of(play) as (chat, _tokens):
        async with chat:
            sending = asyncio.create_task(chat.send(7, "hello"))
            await asked.wait()
        with pytest.raises(PolychatError):
            await sending


async def test_who_reads_slowly_may_send_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """More has come than waits for a reader: its own reply is behind all that, and comes through."""
    monkeypatch.setattr(sdk_client, "EVENT_QUEUE", 3)
    events = [RoomEvent(room_id=7, sequence=sequence) for sequence in range(1, 21)]

    async def play(socket: ServerConnection, _number: int) -> None:
        hello = ServerFrame(id=1)
        hello.welcome.heartbeat.FromMilliseconds(25_000)
        hello.welcome.rooms.add(room_id=7, head_sequence=0)
        for frame in (hello, *(ServerFrame(event=event) for event in events)):
            await socket.send(frame.SerializeToString())
        async for raw in socket:
            asked = ClientFrame.FromString(frame_bytes(raw))
            reply = ServerFrame(id=asked.id)
            if asked.HasField("send"):
                reply.sent.sequence = 21
            else:
                after = ListEventsRequest.FromString(asked.call.message).after_sequence
                reply.result_message = ListEventsResponse(events=events[after:]).SerializeToString()
            await socket.send(reply.SerializeToString())

    read = []
    async with client_of(play) as (chat, _tokens), chat:
        async for event in chat.events():
            await chat.send(7, "seen")
            read.append(event.sequence)
            if event.sequence == len(events):
                break
    assert read == list(range(1, 21))
