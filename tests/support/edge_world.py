"""A world around one edge: a room log, chat instances, message and auth, all in memory behind real gRPC.

It keeps the promises of the internal interfaces and can break them on demand: lose hints, hold
outcomes back, refuse connections, die.
"""
# ruff: noqa: N802 — gRPC names the methods

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import grpc.aio
from polychat.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from polychat.auth.v1.jwk_pb2 import Jwk
from polychat.chat.v1 import membership_pb2, room_pb2, room_service_pb2, room_service_pb2_grpc
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.directory.v1 import session_directory_service_pb2 as directory
from polychat.internal.directory.v1 import session_directory_service_pb2_grpc
from polychat.internal.link.v1 import link_service_pb2_grpc
from polychat.internal.log.v1 import log_read_service_pb2 as reading
from polychat.internal.log.v1 import log_read_service_pb2_grpc
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomSignal
from polychat.message.v1 import receipt_service_pb2, receipt_service_pb2_grpc

from tests.support.edge_chat import FakeChat
from tests.support.edge_log import KEY, KID, RoomLogStore, message_event, public_jwk, token, user_of

__all__ = ["KEY", "KID", "FakeChat", "World", "message_event", "new_world", "served", "token"]

from discovery import Instance

STRETCHES_BYTES = 2 * 1024 * 1024
"""A reply of ReadEvents has at most about this."""


class World(
    log_read_service_pb2_grpc.LogReadServiceServicer,
    auth_service_pb2_grpc.AuthServiceServicer,
    room_service_pb2_grpc.RoomServiceServicer,
    receipt_service_pb2_grpc.ReceiptServiceServicer,
    session_directory_service_pb2_grpc.SessionDirectoryServiceServicer,
):
    """Everything but chat's hub, and the switches."""

    def __init__(self) -> None:
        self.log = RoomLogStore()
        self.chats: list[FakeChat] = []
        self.lose_hints = False
        self.reads: list[list[reading.LogRange]] = []
        self.read_gate = asyncio.Event()
        self.read_gate.set()
        self.create_gate = asyncio.Event()
        self.create_gate.set()
        self.metadata: list[dict[str, str]] = []
        self.ended_sessions: set[int] = set()
        self.checked: list[set[int]] = []
        self.checks_away = False
        self.refuse_logout = False

    # ---- what tests do ------------------------------------------------------------------------

    def room(self, room_id: int, *user_ids: int) -> None:
        """Makes a room whose first events are its members' coming."""
        for user_id in user_ids:
            self.join(room_id, user_id)

    def join(self, room_id: int, user_id: int) -> None:
        """A user comes in."""
        event = RoomEvent(actor_user_id=user_id)
        event.member_joined.membership.room_id = room_id
        event.member_joined.membership.user_id = user_id
        event.member_joined.membership.state = membership_pb2.MEMBERSHIP_STATE_JOINED
        event.member_joined.room.CopyFrom(room_pb2.Room(room_id=room_id, title="Team"))
        self.publish(self.log.append(room_id, event, joined=(user_id,)))

    def leave(self, room_id: int, user_id: int) -> None:
        """A user is out."""
        event = RoomEvent(actor_user_id=user_id)
        event.member_left.user_id = user_id
        self.publish(self.log.append(room_id, event, left=(user_id,)))

    def say(self, room_id: int, user_id: int, text: str = "hi") -> int:
        """A message is committed and published."""
        record = self.log.append(room_id, message_event(user_id, text))
        self.publish(record)
        return record.sequence

    def publish(self, record: EventRecord) -> None:
        """The hint to every chat instance, unless hints are lost."""
        if not self.lose_hints:
            for chat in self.chats:
                chat.pass_on(record)

    # ---- message --------------------------------------------------------------------------------

    async def ReadEvents(
        self, request: reading.ReadEventsRequest, context: Any
    ) -> reading.ReadEventsResponse:
        self.reads.append(list(request.ranges))
        await self.read_gate.wait()
        bound = STRETCHES_BYTES // len(request.ranges)
        stretches = [self.log.stretch(wanted, bound) for wanted in request.ranges]
        return reading.ReadEventsResponse(stretches=stretches)

    async def AdvanceReceipt(self, request: Any, context: Any) -> receipt_service_pb2.AdvanceReceiptResponse:
        user_id = self._caller(context)
        reply = receipt_service_pb2.AdvanceReceiptResponse()
        reply.receipt.room_id, reply.receipt.user_id = request.room_id, user_id
        reply.receipt.read_sequence = request.read_sequence
        signal = RoomSignal(room_id=request.room_id, user_id=user_id, read_sequence=request.read_sequence)
        for chat in self.chats:
            chat.signal(signal)
        return reply

    # ---- auth and chat's control plane ----------------------------------------------------------

    async def GetJwks(self, request: Any, context: Any) -> auth_service_pb2.GetJwksResponse:
        return auth_service_pb2.GetJwksResponse(keys=[Jwk(**public_jwk())])

    async def Login(self, request: Any, context: Any) -> auth_service_pb2.LoginResponse:
        self._caller(context)
        reply = auth_service_pb2.LoginResponse(access_token=token(9), refresh_token="r")
        reply.user.user_id = 9
        reply.expires_in.FromSeconds(900)
        return reply

    async def Logout(self, request: Any, context: Any) -> auth_service_pb2.LogoutResponse:
        self._caller(context)
        if self.refuse_logout:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "not now")
        return auth_service_pb2.LogoutResponse()

    async def CheckSessions(self, request: Any, context: Any) -> directory.CheckSessionsResponse:
        self.checked.append(set(request.session_ids))
        if self.checks_away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        ended = self.ended_sessions & set(request.session_ids)
        return directory.CheckSessionsResponse(ended_session_ids=ended)

    async def CreateRoom(self, request: Any, context: Any) -> room_service_pb2.CreateRoomResponse:
        user_id = self._caller(context)
        await self.create_gate.wait()
        room_id = 9_007_199_254_740_993
        self.room(room_id, user_id)
        reply = room_service_pb2.CreateRoomResponse()
        reply.room.room_id, reply.room.title, reply.room.kind = room_id, request.title, request.kind
        return reply

    def _caller(self, context: Any) -> int:
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        self.metadata.append(metadata)
        shown = metadata.get("authorization", "")
        return user_of(shown.removeprefix("Bearer ")) if shown else 0


def new_world() -> World:
    """A world; what it leaves of its services' methods is answered UNIMPLEMENTED."""
    world: World = cast(Any, World)()
    return world


@asynccontextmanager
async def served(chat: FakeChat, port: int = 0) -> AsyncIterator[tuple[grpc.aio.Server, Instance]]:
    """One chat instance on a port of its own, with everything else of the world beside it."""
    server = grpc.aio.server()
    link_service_pb2_grpc.add_LinkServiceServicer_to_server(chat, server)
    world = chat.world
    log_read_service_pb2_grpc.add_LogReadServiceServicer_to_server(world, server)
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(world, server)
    room_service_pb2_grpc.add_RoomServiceServicer_to_server(world, server)
    receipt_service_pb2_grpc.add_ReceiptServiceServicer_to_server(world, server)
    session_directory_service_pb2_grpc.add_SessionDirectoryServiceServicer_to_server(world, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    world.chats.append(chat)
    try:
        yield server, Instance(chat.name, "127.0.0.1", bound)
    finally:
        world.chats.remove(chat)
        await server.stop(None)
