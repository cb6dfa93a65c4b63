"""A chat over memory that listens on a port, and how a caller and an edge talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from polychat.chat.v1 import messaging_service_pb2 as messaging_pb
from polychat.chat.v1 import room_service_pb2 as room_pb
from polychat.chat.v1.membership_service_pb2_grpc import MembershipServiceStub
from polychat.chat.v1.messaging_service_pb2_grpc import MessagingServiceStub
from polychat.chat.v1.presence_service_pb2_grpc import PresenceServiceStub
from polychat.chat.v1.room_service_pb2_grpc import RoomServiceStub
from polychat.internal.link.v1.link_service_pb2 import AttachRequest, AttachResponse
from polychat.internal.link.v1.link_service_pb2_grpc import LinkServiceStub

from chassis.caller import INTERNAL_CREDENTIAL, Caller
from chassis.config import ProcessSettings
from chassis.errors import TokenInvalid
from chassis.grpc_server import serve_grpc
from chassis.paging import PageTokens
from chassis.run import Process
from chassis.status import from_rpc_error
from services.chat.api import Apis, grpc_services
from services.chat.hub import Hub
from services.chat.links import LinkParts
from services.chat.lost_edges import LostEdges
from services.chat.placement import Placement
from services.chat.typing_signals import TypingSignals
from tests.support.chat_world import World, running

CREDENTIAL = "internal-secret-of-this-test"
INTERNAL = ((INTERNAL_CREDENTIAL, CREDENTIAL),)
ANN, BOB, EVE = 1, 2, 3


def user(user_id: int) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer token-{user_id}"),)


class Tokens:
    """Knows `token-<user>`."""

    async def verify(self, token: str) -> Caller:
        name, _, user_id = token.partition("-")
        if name != "token":
            raise TokenInvalid
        return Caller(int(user_id), 100 + int(user_id), token, 2_000_000_000.0)


class Server:
    """A chat that listens on a port, and stubs to it."""

    def __init__(self, folder: Path) -> None:
        secret = folder / "internal"
        secret.write_text(CREDENTIAL)
        settings = ProcessSettings(
            instance="chat-1",
            grpc_port=0,
            consul_addr="http://127.0.0.1:1",
            internal_credential_file=secret,
            drain_seconds=0.2,
        )
        self.process = Process("chat", settings)
        self.world = World()
        self.hub = Hub(lambda _rooms, _wanted: None)
        self.world.log.publish = lambda event: self.hub.pass_events([event])
        typing = TypingSignals(self.hub, self._publish, self.world.time)
        self.lost_edges = LostEdges(self.world.time, lambda: None)
        placement = Placement(self.hub, self.world.log)
        self.apis = Apis.of(
            rooms=self.world.rooms,
            memberships=self.world.memberships,
            sending=self.world.sending,
            link=LinkParts(self.hub, self.world.sending, placement, Tokens(), typing, self.world.time),
            lost_edges=self.lost_edges,
            tokens=PageTokens(b"k" * 32),
            instance="chat-1",
        )

    async def _publish(self, _hints: object) -> None:
        return None

    async def open(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(running(self.world.members.run))
        verifier: Any = Tokens()
        server = await stack.enter_async_context(serve_grpc(self.process, grpc_services(self.apis), verifier))
        self.channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{server.port}"))
        self.rooms = RoomServiceStub(self.channel)
        self.memberships = MembershipServiceStub(self.channel)
        self.messaging = MessagingServiceStub(self.channel)
        self.presence = PresenceServiceStub(self.channel)
        self.link = LinkServiceStub(self.channel)

    async def group(self) -> int:
        request = room_pb.CreateRoomRequest(request_id=str(uuid.uuid4()), title="Team")
        return (await self.rooms.CreateRoom(request, metadata=user(ANN))).room.room_id


async def failure_of(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    failure = from_rpc_error(raised.value)
    return str(failure.code), failure.reason


def message(room_id: int, text: str = "hi", request_id: str = "") -> messaging_pb.SendMessageRequest:
    return messaging_pb.SendMessageRequest(
        room_id=room_id, request_id=request_id or str(uuid.uuid4()), text=text
    )


class Edge:
    """The edge's end of a link."""

    def __init__(self, server: Server, name: str = "edge-1") -> None:
        self.call: Any = server.link.Attach(metadata=INTERNAL)
        self.name = name
        self.frames: list[AttachResponse] = []

    async def say(self, **fields: Any) -> None:
        await self.call.write(AttachRequest(edge_instance=self.name, **fields))

    async def hear(self, field: str, count: int = 1) -> list[Any]:
        """Reads until so many of a field came."""
        async with asyncio.timeout(10):
            while len(self.all(field)) < count:
                frame = await self.call.read()
                assert frame is not grpc.aio.EOF
                self.frames.append(frame)
        return self.all(field)

    async def ended(self) -> bool:
        """Reads to the end, whatever its status."""
        async with asyncio.timeout(10):
            with contextlib.suppress(grpc.aio.AioRpcError):
                while (frame := await self.call.read()) is not grpc.aio.EOF:
                    self.frames.append(frame)
        return True

    def all(self, field: str) -> list[Any]:
        return [item for frame in self.frames for item in getattr(frame, field)]
