"""The other services as chat sees them (ports.Messages, ports.Users)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import grpc.aio
from polychat.internal.log.v1 import log_read_service_pb2 as log_pb2
from polychat.internal.log.v1.log_read_service_pb2_grpc import LogReadServiceStub
from polychat.user.v1.user_service_pb2 import BatchGetUsersRequest
from polychat.user.v1.user_service_pb2_grpc import UserServiceStub

from chassis.caller import Caller, internal_metadata, user_metadata
from chassis.status import from_rpc_error
from services.chat.ports import Outcome, RequestKey, RoomActivity
from services.chat.wire import activity_of, key_message, outcomes_of

StubT = TypeVar("StubT", covariant=True)

ROOMS_A_PAGE = 1000
ITEM_BYTES = 4
"""What a room costs in a list beside its own bytes, at most."""
USERS_A_CALL = 100
HEADS_A_CALL = 5000
LOOKUP_SECONDS = 1.0
MAX_ROOMS_TOLD = 20_000
"""Of one user; who is in more has the rest without events."""
MAX_BYTES_TOLD = 3 * 1024 * 1024
"""Of these rooms together, so that they fit one message on a link."""


class Client(Protocol[StubT]):
    """Gives the current stub of a service; discovery.ServiceClient does."""

    @property
    def stub(self) -> StubT:
        """Not to be kept over an await."""


@dataclass(frozen=True, slots=True)
class UserRoomList:
    """The rooms of a user, the most recently active first, as the edge is told them."""

    rooms: Sequence[log_pb2.UserRoom]
    truncated: bool
    heads: Mapping[int, int]
    log_epochs: Sequence[int] = ()
    """Every restore that the log has behind it, ascending."""
    ended: Sequence[log_pb2.EndedMembership] = ()
    """Their memberships that ended last, those of a room ascending."""

    @classmethod
    def combined(
        cls,
        rooms: Iterable[log_pb2.UserRoom],
        ended: Sequence[log_pb2.EndedMembership],
        *,
        truncated: bool = False,
        log_epochs: Sequence[int] = (),
    ) -> Self:
        """The rooms were read before what ended: a membership that is in both is over."""
        over = {one.room_id: one.left_sequence for one in ended}
        present = [room for room in rooms if over.get(room.room_id, 0) < max(1, room.joined_sequence)]
        heads = {room.room_id: room.head_sequence for room in present}
        return cls(present, truncated, heads, log_epochs, ended)


class MessagePeer:
    """LogReadService; a failed call raises a Failure."""

    def __init__(self, client: Client[LogReadServiceStub], credential: str) -> None:
        self._client = client
        self._metadata = internal_metadata(credential)

    async def list_rooms(
        self, user_id: int, *, limit: int, before: tuple[int, int]
    ) -> tuple[list[RoomActivity], bool]:
        """See ports.Messages."""
        request = log_pb2.ListUserRoomsRequest(
            user_ids=[user_id],
            limit=limit,
            before_activity=before[0],
            before_room_id=before[1],
            with_last_message=True,
        )
        rooms = (await self._list(request)).users[0]
        return [activity_of(room) for room in rooms.rooms], rooms.truncated

    async def my_rooms(self, user_id: int, room_ids: Sequence[int]) -> dict[int, RoomActivity]:
        """See ports.Messages."""
        request = log_pb2.ListUserRoomsRequest(
            user_ids=[user_id], limit=ROOMS_A_PAGE, with_last_message=True, room_ids=room_ids
        )
        rooms = (await self._list(request)).users[0].rooms
        return {room.room_id: activity_of(room) for room in rooms}

    async def members_among(self, room_id: int, user_ids: Sequence[int]) -> set[int]:
        """See ports.Messages."""
        request = log_pb2.ListUserRoomsRequest(user_ids=user_ids, limit=1, room_ids=[room_id])
        return {rooms.user_id for rooms in (await self._list(request)).users if rooms.rooms}

    async def heads(self, room_ids: Sequence[int]) -> dict[int, int]:
        """See ports.Messages."""
        found: dict[int, int] = {}
        for start in range(0, len(room_ids), HEADS_A_CALL):
            request = log_pb2.BatchGetHeadsRequest(room_ids=room_ids[start : start + HEADS_A_CALL])
            try:
                response = await self._client.stub.BatchGetHeads(request, metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error
            found.update((head.room_id, head.head_sequence) for head in response.heads)
        return found

    async def lookup(self, keys: Sequence[RequestKey]) -> list[Outcome]:
        """See ports.Messages."""
        request = log_pb2.LookupRequestsRequest(keys=[key_message(key) for key in keys])
        try:
            response = await self._client.stub.LookupRequests(
                request, metadata=self._metadata, timeout=LOOKUP_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return outcomes_of(response.outcomes)

    async def all_rooms(self, user_ids: Sequence[int]) -> dict[int, UserRoomList]:
        """Every room of every user, by user."""
        found: dict[int, UserRoomList] = {}
        for start in range(0, len(user_ids), USERS_A_CALL):
            part = user_ids[start : start + USERS_A_CALL]
            request = log_pb2.ListUserRoomsRequest(user_ids=part, limit=ROOMS_A_PAGE, with_ended=True)
            response = await self._list(request)
            for rooms in response.users:
                found[rooms.user_id] = await self._complete(rooms, response.log_epochs)
        return found

    async def _complete(self, page: log_pb2.UserRooms, log_epochs: Sequence[int]) -> UserRoomList:
        """A page may be shorter than asked for, when many users share one answer.

        A room that becomes active while older pages are read is on none of them: it is on the first by then.
        """
        found = {room.room_id: room for room in page.rooms}
        ended = page.ended
        size = page.ByteSize()
        if page.truncated:
            while page.truncated and page.rooms and len(found) < MAX_ROOMS_TOLD and size < MAX_BYTES_TOLD:
                page = await self._page(page.user_id, page.rooms[-1])
                found.update((room.room_id, room) for room in page.rooms)
                size += page.ByteSize()
            newest = await self._page(page.user_id, log_pb2.UserRoom())
            found.update((room.room_id, room) for room in newest.rooms)
            size += newest.ByteSize()
        rooms = sorted(found.values(), key=lambda room: (-room.activity, -room.room_id))
        told = rooms if size <= MAX_BYTES_TOLD else _within(MAX_BYTES_TOLD, rooms)
        truncated = page.truncated or len(told) < len(rooms)
        return UserRoomList.combined(told, ended, truncated=truncated, log_epochs=log_epochs)

    async def _page(self, user_id: int, after: log_pb2.UserRoom) -> log_pb2.UserRooms:
        request = log_pb2.ListUserRoomsRequest(
            user_ids=[user_id],
            limit=ROOMS_A_PAGE,
            before_activity=after.activity,
            before_room_id=after.room_id,
        )
        return (await self._list(request)).users[0]

    async def _list(self, request: log_pb2.ListUserRoomsRequest) -> log_pb2.ListUserRoomsResponse:
        try:
            return await self._client.stub.ListUserRooms(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


def _within(most: int, rooms: Sequence[log_pb2.UserRoom]) -> list[log_pb2.UserRoom]:
    """The first rooms that have at most so many bytes together."""
    sizes = itertools.accumulate(room.ByteSize() + ITEM_BYTES for room in rooms)
    return [room for room, size in zip(rooms, sizes, strict=True) if size <= most]


class UserPeer:
    """UserService, asked in the caller's name."""

    def __init__(self, client: Client[UserServiceStub]) -> None:
        self._client = client

    async def missing(self, caller: Caller, user_ids: Sequence[int]) -> list[int]:
        """See ports.Users."""
        try:
            response = await self._client.stub.BatchGetUsers(
                BatchGetUsersRequest(user_ids=user_ids), metadata=user_metadata(caller)
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        known = {user.user_id for user in response.users}
        return [user_id for user_id in user_ids if user_id not in known]
