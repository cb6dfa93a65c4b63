"""The chat end of one edge's link over a world in memory, and what an edge says on it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest
from polychat.internal.link.v1.link_service_pb2 import AttachRequest, AttachResponse, OpenConnection, Send

from chassis.caller import Caller
from chassis.errors import TokenInvalid
from services.chat.domain import RoomKind
from services.chat.hub import Hub
from services.chat.link_output import LinkOutput
from services.chat.links import Link, LinkParts
from services.chat.placement import Placement
from services.chat.typing_signals import TypingSignals
from tests.support.chat_world import Time, World, caller, settle

ANN, BOB = 1, 2


class Tokens:
    """Knows `token-<user>`; may be made to wait."""

    def __init__(self) -> None:
        self.expire_time = 2_000_000_000.0
        self.gate = asyncio.Event()
        self.gate.set()

    async def verify(self, token: str) -> Caller:
        """Who it is (links.Verifier)."""
        await self.gate.wait()
        name, _, user_id = token.partition("-")
        if name != "token":
            raise TokenInvalid
        return Caller(int(user_id), 100 + int(user_id), token, self.expire_time)


class Rig:
    """A link over a world; `said` is everything it has answered so far."""

    def __init__(self) -> None:
        self.world = World()
        self.wall = Time()
        self.tokens = Tokens()
        self.hub = Hub(lambda _rooms, _wanted: None)
        self.world.log.publish = lambda event: self.hub.pass_events([event])
        self.published: list[tuple[str, bytes]] = []
        self.typing = TypingSignals(self.hub, self._publish, self.world.time)
        self.parts = LinkParts(
            self.hub,
            self.world.sending,
            Placement(self.hub, self.world.log),
            self.tokens,
            self.typing,
            self.wall,
        )
        self.output = LinkOutput("chat-1")
        self.link = Link(self.parts, "edge-1", self.output)
        self.requests: asyncio.Queue[AttachRequest] = asyncio.Queue()

    async def _publish(self, hints) -> None:  # type: ignore[no-untyped-def]
        self.published += hints

    async def stream(self) -> AsyncIterator[AttachRequest]:
        while True:
            yield await self.requests.get()

    async def read(self) -> None:
        await self.link.read(AttachRequest(edge_instance="edge-1"), self.stream())

    def say(self, **fields: object) -> None:
        self.requests.put_nowait(AttachRequest(**fields))  # type: ignore[arg-type]

    async def group(self, *others: int) -> int:
        room = await self.world.rooms.create(caller(ANN), uuid.uuid4().bytes, "Team", RoomKind.GROUP)
        if others:
            await self.world.memberships.add(caller(ANN), room.room_id, others)
        return room.room_id

    @property
    def said(self) -> AttachResponse:
        merged = AttachResponse()
        for frame in self.output._frames:
            merged.MergeFrom(frame.message)
        return merged

    async def until(self, field: str, count: int = 1) -> None:
        async with asyncio.timeout(5):
            while len(getattr(self.said, field)) < count:
                await settle(1)


def opening(connection_id: int, user_id: int) -> OpenConnection:
    return OpenConnection(connection_id=connection_id, access_token=f"token-{user_id}")


def sending(connection_id: int, tag: int, room_id: int, text: str = "hi") -> Send:
    request = SendMessageRequest(room_id=room_id, request_id=str(uuid.uuid4()), text=text)
    return Send(connection_id=connection_id, tag=tag, request=request)
