"""RoomService: proto ↔ domain, nothing decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc.aio
from polychat.chat.v1 import room_pb2, room_service_pb2, room_service_pb2_grpc

from chassis.caller import current_caller
from chassis.errors import Unimplemented
from chassis.ids import uuid_bytes
from chassis.interceptors import Access
from chassis.paging import PageTokens, page_size
from services.chat.domain import RoomKind
from services.chat.events import room_message
from services.chat.use_cases.rooms import Page, Rooms
from services.chat.wire import listed_message

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

ACCESS = {
    "CreateRoom": Access.USER,
    "OpenDirectRoom": Access.USER,
    "GetRoom": Access.USER,
    "ListRooms": Access.USER,
    "ListPublicRooms": Access.USER,
    "UpdateRoom": Access.USER,
    "ArchiveRoom": Access.USER,
}
_KINDS = {
    room_pb2.ROOM_KIND_UNSPECIFIED: RoomKind.GROUP,
    room_pb2.ROOM_KIND_DIRECT: RoomKind.DIRECT,
    room_pb2.ROOM_KIND_GROUP: RoomKind.GROUP,
    room_pb2.ROOM_KIND_PUBLIC: RoomKind.PUBLIC,
}


class RoomApi(room_service_pb2_grpc.RoomServiceServicer):
    """polychat.chat.v1.RoomService."""

    def __init__(self, rooms: Rooms, tokens: PageTokens) -> None:
        self._rooms = rooms
        self._tokens = tokens

    async def CreateRoom(  # noqa: N802 — gRPC's name
        self, request: room_service_pb2.CreateRoomRequest, _context: Context
    ) -> room_service_pb2.CreateRoomResponse:
        caller = current_caller()
        key = uuid_bytes(request.request_id)
        room = await self._rooms.create(caller, key, request.title, _KINDS[request.kind])
        return room_service_pb2.CreateRoomResponse(room=room_message(room, caller.user_id))

    async def OpenDirectRoom(  # noqa: N802 — gRPC's name
        self, request: room_service_pb2.OpenDirectRoomRequest, _context: Context
    ) -> room_service_pb2.OpenDirectRoomResponse:
        caller = current_caller()
        room = await self._rooms.open_direct(caller, request.user_id)
        return room_service_pb2.OpenDirectRoomResponse(room=room_message(room, caller.user_id))

    async def GetRoom(  # noqa: N802 — gRPC's name
        self, request: room_service_pb2.GetRoomRequest, _context: Context
    ) -> room_service_pb2.GetRoomResponse:
        user_id = current_caller().user_id
        room = await self._rooms.get(user_id, request.room_id)
        return room_service_pb2.GetRoomResponse(room=room_message(room, user_id))

    async def ListRooms(  # noqa: N802 — gRPC's name
        self, request: room_service_pb2.ListRoomsRequest, _context: Context
    ) -> room_service_pb2.ListRoomsResponse:
        user_id = current_caller().user_id
        scope = f"ListRooms/{user_id}"
        activity, room_id = self._tokens.open(scope, request.page_token) if request.page_token else (0, 0)
        page = await self._rooms.list_mine(user_id, page_size(request.page_size), (activity, room_id))
        return room_service_pb2.ListRoomsResponse(
            rooms=[listed_message(room, user_id) for room in page.rooms],
            next_page_token=self._next(scope, page),
        )

    async def ListPublicRooms(  # noqa: N802 — gRPC's name
        self, request: room_service_pb2.ListPublicRoomsRequest, _context: Context
    ) -> room_service_pb2.ListPublicRoomsResponse:
        user_id = current_caller().user_id
        scope = f"ListPublicRooms/{user_id}"
        (before,) = self._tokens.open(scope, request.page_token) if request.page_token else (0,)
        page = await self._rooms.list_public(user_id, page_size(request.page_size), before)
        return room_service_pb2.ListPublicRoomsResponse(
            rooms=[listed_message(room, user_id) for room in page.rooms],
            next_page_token=self._next(scope, page),
        )

    async def UpdateRoom(  # noqa: N802 — gRPC's name
        self, _request: room_service_pb2.UpdateRoomRequest, _context: Context
    ) -> room_service_pb2.UpdateRoomResponse:
        raise Unimplemented

    async def ArchiveRoom(  # noqa: N802 — gRPC's name
        self, _request: room_service_pb2.ArchiveRoomRequest, _context: Context
    ) -> room_service_pb2.ArchiveRoomResponse:
        raise Unimplemented

    def _next(self, scope: str, page: Page) -> str:
        return "" if page.next_position is None else self._tokens.seal(scope, *page.next_position)
