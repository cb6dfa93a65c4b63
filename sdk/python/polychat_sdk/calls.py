"""The public methods of the server that have a name of their own in the SDK, and a way to call the others."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from google.protobuf.message import Message
from polychat.chat.v1 import membership_service_pb2, message_pb2, room_pb2, room_service_pb2
from polychat.edge.v1 import client_frame_pb2
from polychat.message.v1 import message_service_pb2
from polychat.user.v1 import user_pb2, user_service_pb2

from polychat_sdk.connection import Connection
from polychat_sdk.errors import Disconnected, PolychatError

M = TypeVar("M", bound=Message)

CALL_SECONDS = 15.0
RESEND_SECONDS = 0.5
CHAT = "polychat.chat.v1"


class Calls:
    """What a connected user may ask for. Raises PolychatError when the server refuses it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def call(self, method: str, request: Message, answer: type[M]) -> M:
        """Any public unary method, such as `polychat.chat.v1.RoomService/CreateRoom`.

        Raises PolychatError, Disconnected, and TimeoutError after 15 s.
        """
        frame = client_frame_pb2.ClientFrame()
        frame.call.method = method
        frame.call.message = request.SerializeToString()
        async with asyncio.timeout(CALL_SECONDS):
            return answer.FromString((await self._connection.ask(frame)).result_message)

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
        return [room async for page in self._room_pages() for room in page]

    async def _room_pages(self) -> AsyncIterator[Sequence[room_pb2.Room]]:
        token = ""
        while True:
            request = room_service_pb2.ListRoomsRequest(page_size=100, page_token=token)
            page = await self._call_again(
                f"{CHAT}.RoomService/ListRooms", request, room_service_pb2.ListRoomsResponse
            )
            yield page.rooms
            token = page.next_page_token
            if not token:
                return

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
