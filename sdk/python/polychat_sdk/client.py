"""The face of the SDK: rooms, messages and events of one signed-in user."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from google.protobuf.message import Message
from polychat.chat.v1 import (
    membership_service_pb2,
    message_pb2,
    messaging_service_pb2,
    room_pb2,
    room_service_pb2,
)
from polychat.edge.v1 import client_frame_pb2, server_frame_pb2
from polychat.event.v1 import room_event_pb2
from polychat.message.v1 import message_service_pb2
from polychat.user.v1 import user_pb2, user_service_pb2

from polychat_sdk.connection import Connection
from polychat_sdk.errors import Disconnected, PolychatError
from polychat_sdk.room_log import RoomLog, Verdict
from polychat_sdk.tokens import Tokens, login

M = TypeVar("M", bound=Message)

CLIENT = "polychat-python/0.1"
EVENT_QUEUE = 10_000
"""Events waiting for `events()`; a reader slower than that makes the SDK stop reading the socket."""
CALL_SECONDS = 15.0
RESEND_SECONDS = 0.5
CHAT = "polychat.chat.v1"


@asynccontextmanager
async def sign_in(url: str, username: str, password: str, *, device_name: str = "") -> AsyncIterator[Chat]:
    """Signs in with a password and stays connected until the block ends, and with it the session."""
    tokens = await login(url, username, password, device_name=device_name)
    try:
        async with Chat(url, tokens) as chat:
            yield chat
    finally:
        # Left standing without anybody who has its tokens, it would in turn end the user's oldest one.
        with contextlib.suppress(PolychatError):
            await tokens.logout()
        await tokens.close()


class Chat:
    """A connected user. Use as `async with Chat(url, tokens) as chat`.

    `on_reset` is called by `events()` with a room whose events so far are void, because the server was
    restored from a backup; all of the room's events follow, from the first one on.
    """

    def __init__(
        self, url: str, tokens: Tokens, *, on_reset: Callable[[int], None] = lambda _room_id: None
    ) -> None:
        self.user = tokens.user
        self._on_reset = on_reset
        self.log = RoomLog()
        self._connection = Connection(
            f"{url.rstrip('/').replace('http', 'ws', 1)}/ws",
            tokens,
            log=self.log,
            on_frame=self._on_frame,
            client=CLIENT,
        )
        # A room id: what came of it before is void. None: no more will come.
        self._events: asyncio.Queue[room_event_pb2.RoomEvent | int | None] = asyncio.Queue(EVENT_QUEUE)
        self._sending: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._filling: dict[int, asyncio.Task[None]] = {}
        self._welcomed = False
        """Rooms that are new in a later welcome were joined while we were away."""
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Chat:
        self._running = asyncio.create_task(self._run())
        try:
            await self._connection.opened()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for task in (self._running, *self._filling.values()):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, PolychatError):
                    await task

    async def send(
        self, room_id: int, text: str, *, request_id: str | None = None, reply_to_message_id: int = 0
    ) -> messaging_service_pb2.SendMessageResponse:
        """Sends a message and returns when it is committed.

        Goes on over lost connections and unknown outcomes with the same request id, so the message is
        there once. The messages of a room leave one after the other, in the order of the calls. Raises
        PolychatError when the server refuses it.
        """
        request = messaging_service_pb2.SendMessageRequest(
            room_id=room_id,
            request_id=request_id or str(uuid.uuid4()),
            text=text,
            reply_to_message_id=reply_to_message_id,
        )
        async with self._sending[room_id]:
            while True:
                try:
                    return (await self._connection.ask(client_frame_pb2.ClientFrame(send=request))).sent
                except Disconnected:
                    continue
                except PolychatError as error:
                    if not error.retryable:
                        raise
                    await asyncio.sleep(error.retry_after or RESEND_SECONDS)

    async def call(self, method: str, request: Message, answer: type[M]) -> M:
        """Any public unary method, such as `polychat.chat.v1.RoomService/CreateRoom`.

        Raises PolychatError, Disconnected, and TimeoutError after 15 s.
        """
        frame = client_frame_pb2.ClientFrame()
        frame.call.method = method
        frame.call.message = request.SerializeToString()
        async with asyncio.timeout(CALL_SECONDS):
            return answer.FromString((await self._connection.ask(frame)).result_message)

    async def events(self) -> AsyncIterator[room_event_pb2.RoomEvent]:
        """Every event of the user's rooms from now on, per room in order, none missing, none twice.

        Raises Stopped when the connection has ended for good.
        """
        while (event := await self._events.get()) is not None:
            if isinstance(event, int):
                self._on_reset(event)
                continue
            yield event
        self._events.put_nowait(None)
        await self._connection.opened()

    async def create_room(self, title: str, *, public: bool = False) -> room_pb2.Room:
        """Makes a group, or a room that anybody may join."""
        kind = room_pb2.ROOM_KIND_PUBLIC if public else room_pb2.ROOM_KIND_GROUP
        request = room_service_pb2.CreateRoomRequest(request_id=str(uuid.uuid4()), title=title, kind=kind)
        answer = room_service_pb2.CreateRoomResponse
        return (await self._call_again(f"{CHAT}.RoomService/CreateRoom", request, answer)).room

    async def open_direct_room(self, user_id: int) -> room_pb2.Room:
        """The one room of this user and another."""
        request = room_service_pb2.OpenDirectRoomRequest(user_id=user_id)
        answer = room_service_pb2.OpenDirectRoomResponse
        return (await self._call_again(f"{CHAT}.RoomService/OpenDirectRoom", request, answer)).room

    async def list_rooms(self) -> list[room_pb2.Room]:
        """All rooms of the user with unread counts, the most recently active first."""
        rooms: list[room_pb2.Room] = []
        token = ""
        while True:
            request = room_service_pb2.ListRoomsRequest(page_size=100, page_token=token)
            page = await self._call_again(
                f"{CHAT}.RoomService/ListRooms", request, room_service_pb2.ListRoomsResponse
            )
            rooms += page.rooms
            token = page.next_page_token
            if not token:
                return rooms

    async def add_members(self, room_id: int, user_ids: Sequence[int]) -> None:
        """Adds users to a group."""
        request = membership_service_pb2.AddMembersRequest(room_id=room_id, user_ids=user_ids)
        answer = membership_service_pb2.AddMembersResponse
        await self._call_again(f"{CHAT}.MembershipService/AddMembers", request, answer)

    async def join_room(self, room_id: int) -> None:
        """Joins a public room."""
        request = membership_service_pb2.JoinRoomRequest(room_id=room_id)
        answer = membership_service_pb2.JoinRoomResponse
        await self._call_again(f"{CHAT}.MembershipService/JoinRoom", request, answer)

    async def read(self, room_id: int, sequence: int) -> None:
        """Says that everything up to and including `sequence` was read."""
        frame = client_frame_pb2.ClientFrame()
        frame.receipt.room_id = room_id
        frame.receipt.read_sequence = sequence
        await self._connection.ask(frame)

    async def list_messages(self, room_id: int, page_size: int = 50) -> list[message_pb2.Message]:
        """The newest messages of a room, ascending."""
        request = message_service_pb2.ListMessagesRequest(room_id=room_id, page_size=page_size)
        method = "polychat.message.v1.MessageService/ListMessages"
        answer = message_service_pb2.ListMessagesResponse
        return list((await self._call_again(method, request, answer)).messages)

    async def search_users(self, query: str) -> list[user_pb2.User]:
        """Users whose name begins like this, at most 50."""
        request = user_service_pb2.SearchUsersRequest(query=query, page_size=50)
        answer = user_service_pb2.SearchUsersResponse
        return list(
            (await self._call_again("polychat.user.v1.UserService/SearchUsers", request, answer)).users
        )

    async def get_users(self, user_ids: Sequence[int]) -> dict[int, user_pb2.User]:
        """The users that exist, by id; at most 100 at once."""
        request = user_service_pb2.BatchGetUsersRequest(user_ids=user_ids)
        answer = user_service_pb2.BatchGetUsersResponse
        method = "polychat.user.v1.UserService/BatchGetUsers"
        return {user.user_id: user for user in (await self._call_again(method, request, answer)).users}

    async def list_events(self, room_id: int, after_sequence: int) -> message_service_pb2.ListEventsResponse:
        """The next page of a room's log, ascending; without next_page_token it is the last."""
        request = message_service_pb2.ListEventsRequest(
            room_id=room_id, after_sequence=after_sequence, page_size=100
        )
        method = "polychat.message.v1.MessageService/ListEvents"
        return await self._call_again(method, request, message_service_pb2.ListEventsResponse)

    async def _call_again(self, method: str, request: Message, answer: type[M]) -> M:
        """For methods that may be repeated: goes on over lost connections and retryable errors."""
        while True:
            try:
                return await self.call(method, request, answer)
            except (Disconnected, TimeoutError):
                continue
            except PolychatError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(error.retry_after or RESEND_SECONDS)

    async def _run(self) -> None:
        try:
            await self._connection.run()
        except Exception:  # whoever waits for events is woken first
            await self._events.put(None)
            raise

    async def _on_frame(self, frame: server_frame_pb2.ServerFrame) -> None:
        body = frame.WhichOneof("body")
        if body == "welcome":
            for room_id in self.log.restored(frame.welcome.log_epoch, frame.welcome.reset_room_ids):
                await self._void(room_id)
            for room in frame.welcome.rooms:
                joined = room.joined_sequence if self._welcomed else 0
                if self.log.begin(room.room_id, room.head_sequence, joined) is Verdict.FETCH:
                    self._fill(room.room_id)
            self._welcomed = True
        elif body == "event":
            verdict = self.log.judge(frame.event.room_id, frame.event.sequence)
            if verdict is Verdict.APPLY:
                await self._events.put(frame.event)
            elif verdict is Verdict.FETCH:
                self._fill(frame.event.room_id)
        elif body == "skip":
            skip = frame.skip
            if self.log.skip(skip.room_id, skip.from_sequence, skip.to_sequence) is Verdict.FETCH:
                self._fill(skip.room_id)
        elif body == "gap":
            if frame.gap.reset and self.log.cursors().get(frame.gap.room_id):
                await self._void(frame.gap.room_id)
            self.log.gap(frame.gap.room_id, frame.gap.head_sequence, reset=frame.gap.reset)
            self._fill(frame.gap.room_id)

    async def _void(self, room_id: int) -> None:
        """Whoever reads events is told in their order; a page that is under way is of the log before."""
        filling = self._filling.pop(room_id, None)
        if filling is not None:
            filling.cancel()
        await self._events.put(room_id)

    def _fill(self, room_id: int) -> None:
        if room_id not in self._filling:
            task = self._filling[room_id] = asyncio.create_task(self._page(room_id))
            task.add_done_callback(lambda done: self._filled(room_id, done))

    def _filled(self, room_id: int, task: asyncio.Task[None]) -> None:
        if self._filling.get(room_id) is task:
            del self._filling[room_id]

    async def _page(self, room_id: int) -> None:
        while True:
            asked = self.log.wanted(room_id)
            try:
                page = await self.list_events(room_id, self.log.cursors()[room_id])
            except PolychatError:
                # Refused, as to somebody who left; should events still come, the next one tries again.
                return
            by_sequence = {event.sequence: event for event in page.events}
            for sequence in self.log.paged(room_id, by_sequence):
                await self._events.put(by_sequence[sequence])
            if self.log.filled(room_id, last_page=not page.next_page_token, asked=asked):
                return
