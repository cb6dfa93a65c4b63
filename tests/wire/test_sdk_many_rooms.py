"""Rooms past those that `hello` and `welcome` have a place for: nothing of them is missed either."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from polychat.chat.v1 import room_service_pb2
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.message.v1 import message_service_pb2
from polychat_sdk import Chat, client, room_log
from websockets.asyncio.server import ServerConnection

from tests.support.sdk_server import client_of, frame_bytes

NAMED, QUIET, MOVED, NEW = 1, 2, 3, 4
EPOCH = 1_790_000_000_000


@dataclass
class Room:
    """What the server has of a room; the user may see its events from `first` on."""

    head: int
    first: int = 1


@dataclass
class Server:
    """One user's rooms; a list has a page for each."""

    rooms: dict[int, Room] = field(
        default_factory=lambda: {NAMED: Room(10), QUIET: Room(10), MOVED: Room(10)}
    )
    welcomed: int = 1
    """So many rooms have a place in `welcome`."""
    hidden: set[int] = field(default_factory=set)
    """Rooms that the list leaves out, as one that moves to its front while it is read."""
    epoch: int = 0
    refusals: int = 0
    """So many questions for the list are refused first."""
    live: list[tuple[int, int]] = field(default_factory=list)
    """Room and sequence of the events that follow the welcome."""
    may_list: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody wants the list."""
    socket: ServerConnection | None = None

    def __post_init__(self) -> None:
        self.may_list.set()

    async def play(self, socket: ServerConnection, _number: int) -> None:
        """One connection. The hello has been read."""
        self.socket = socket
        await socket.send(self._welcome().SerializeToString())
        for room_id, sequence in self.live:
            self.rooms[room_id].head = max(sequence, self.rooms[room_id].head)
            await socket.send(ServerFrame(event=_event(room_id, sequence)).SerializeToString())
        async for raw in socket:
            await self._answer(socket, ClientFrame.FromString(frame_bytes(raw)))

    def cut(self) -> None:
        """The line breaks."""
        assert self.socket is not None
        self.socket.transport.abort()

    def _welcome(self) -> ServerFrame:
        frame = ServerFrame(id=1)
        frame.welcome.log_epoch = self.epoch
        frame.welcome.rooms_truncated = len(self.rooms) > self.welcomed
        for room_id, room in list(self.rooms.items())[: self.welcomed]:
            frame.welcome.rooms.add(room_id=room_id, head_sequence=room.head, joined_sequence=room.first)
        return frame

    async def _answer(self, socket: ServerConnection, request: ClientFrame) -> None:
        frame = ServerFrame(id=request.id)
        if request.call.method.endswith("/ListEvents"):
            frame.result_message = self._events(request.call.message)
        elif self.refusals:
            self.refusals -= 1
            frame.error.code = frame.error.reason = "INTERNAL"
        else:
            self.asked.set()
            await self.may_list.wait()
            frame.result_message = self._list(request.call.message)
        await socket.send(frame.SerializeToString())

    def _list(self, raw: bytes) -> bytes:
        request = room_service_pb2.ListRoomsRequest.FromString(raw)
        listed = [room_id for room_id in self.rooms if room_id not in self.hidden]
        page = int(request.page_token or 0)
        answer = room_service_pb2.ListRoomsResponse()
        answer.rooms.add(room_id=listed[page], head_sequence=self.rooms[listed[page]].head)
        if page + 1 < len(listed):
            answer.next_page_token = str(page + 1)
        return answer.SerializeToString()

    def _events(self, raw: bytes) -> bytes:
        request = message_service_pb2.ListEventsRequest.FromString(raw)
        room = self.rooms[request.room_id]
        after = max(request.after_sequence, room.first - 1)
        events = [_event(request.room_id, sequence) for sequence in range(after + 1, room.head + 1)]
        return message_service_pb2.ListEventsResponse(events=events).SerializeToString()


@pytest.fixture(autouse=True)
def one_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hello has a place for one room only, and a refused list is asked for again at once."""
    monkeypatch.setattr(room_log, "HELLO_ROOMS", 1)
    monkeypatch.setattr(client, "RESEND_SECONDS", 0)


@pytest.fixture(params=[1, 4], ids=["truncated", "whole"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server whose welcome has a place for one room, or for all."""
    return Server(welcomed=request.param)


def _event(room_id: int, sequence: int) -> RoomEvent:
    event = RoomEvent(room_id=room_id, sequence=sequence)
    event.message_created.message.message_id = room_id * 1000 + sequence
    return event


async def _taken(chat: Chat, count: int) -> dict[int, list[int]]:
    """The next events, by room."""
    taken: dict[int, list[int]] = defaultdict(list)
    events = chat.events()
    for _ in range(count):
        event = await anext(events)
        taken[event.room_id].append(event.sequence)
    return taken


async def test_what_was_missed_in_a_room_that_hello_did_not_name_is_fetched(server: Server) -> None:
    """Its head says so, in the welcome or in the list; a room joined meanwhile begins with the joining."""
    async with client_of(server.play) as (chat, tokens), chat:
        server.rooms |= {MOVED: Room(12), NEW: Room(6, first=5)}
        server.cut()
        assert await _taken(chat, 4) == {MOVED: [11, 12], NEW: [5, 6]}
        assert [[room.room_id for room in hello.rooms] for hello in tokens.hellos] == [[], [NAMED]]
        assert chat.log.cursors() == {NAMED: 10, QUIET: 10, MOVED: 12, NEW: 6}


async def test_a_room_that_moves_out_of_the_list_begins_with_all_that_was_missed(server: Server) -> None:
    """The list is read in pages, the most recently active room first: one that speaks moves out."""
    async with client_of(server.play) as (chat, _tokens), chat:
        server.rooms |= {MOVED: Room(12), NEW: Room(7, first=5)}
        server.hidden = {MOVED, NEW}
        server.live = [(MOVED, 12), (NEW, 7)]
        server.cut()
        assert await _taken(chat, 5) == {MOVED: [11, 12], NEW: [5, 6, 7]}


async def test_a_restore_shows_such_rooms_again_from_their_first_event_on(server: Server) -> None:
    """Also one that is as long as it was: its numbers may mean other events."""
    void: list[int] = []
    async with client_of(server.play, on_reset=void.append) as (chat, _tokens), chat:
        server.epoch = EPOCH
        server.rooms |= {QUIET: Room(2), MOVED: Room(10, first=9)}
        server.cut()
        assert await _taken(chat, 4) == {QUIET: [1, 2], MOVED: [9, 10]}
        assert void == [QUIET, MOVED]


async def test_a_list_that_is_refused_is_asked_for_again() -> None:
    """Without it nobody would know what was missed."""
    server = Server(refusals=1)
    async with client_of(server.play) as (chat, _tokens), chat:
        server.rooms[MOVED] = Room(11)
        server.refusals = 2
        server.cut()
        assert await _taken(chat, 1) == {MOVED: [11]}


async def test_a_client_is_there_when_all_its_rooms_have_begun() -> None:
    """What is said in any of them after that is new."""
    server = Server()
    server.may_list.clear()
    async with client_of(server.play) as (chat, _tokens):
        entering = asyncio.create_task(chat.__aenter__())
        await server.asked.wait()
        assert not entering.done()
        server.may_list.set()
        await entering
        assert chat.log.cursors() == {NAMED: 10, QUIET: 10, MOVED: 10}
        await chat.__aexit__()


async def test_more_events_than_have_a_place_do_not_keep_a_client_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is in before the list has come, and who reads has all of them."""
    monkeypatch.setattr(client, "EVENT_QUEUE", 1)
    server = Server(live=[(NAMED, 11), (QUIET, 11)])
    server.may_list.clear()
    async with client_of(server.play) as (chat, _tokens), chat:
        server.may_list.set()
        assert await _taken(chat, 2) == {NAMED: [11], QUIET: [11]}
