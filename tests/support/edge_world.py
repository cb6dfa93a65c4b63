"""A world around one edge: a room log, chat instances, message and auth, all in memory behind real gRPC.

It keeps the promises of the internal interfaces and can break them on demand: lose hints, hold
outcomes back, refuse connections, die.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import grpc.aio
from polychat.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from polychat.auth.v1.jwk_pb2 import Jwk
from polychat.chat.v1 import membership_pb2, room_pb2, room_service_pb2, room_service_pb2_grpc
from polychat.chat.v1.messaging_service_pb2 import SendMessageResponse
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.directory.v1 import session_directory_service_pb2 as directory
from polychat.internal.directory.v1 import session_directory_service_pb2_grpc
from polychat.internal.link.v1 import link_service_pb2 as link
from polychat.internal.link.v1 import link_service_pb2_grpc
from polychat.internal.log.v1 import log_read_service_pb2 as reading
from polychat.internal.log.v1 import log_read_service_pb2_grpc
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomHead, RoomSignal
from polychat.message.v1 import receipt_service_pb2, receipt_service_pb2_grpc

from tests.support.edge_log import KEY, KID, RoomLogStore, message_event, public_jwk, token, user_of

__all__ = ["KEY", "KID", "FakeChat", "World", "message_event", "new_world", "served", "token"]

from discovery import Instance


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

    async def ReadEvents(  # noqa: N802 — gRPC names it
        self, request: reading.ReadEventsRequest, context: Any
    ) -> reading.ReadEventsResponse:
        self.reads.append(list(request.ranges))
        await self.read_gate.wait()
        return reading.ReadEventsResponse(stretches=[self._stretch(wanted) for wanted in request.ranges])

    def _stretch(self, wanted: reading.LogRange) -> reading.LogStretch:
        records = self.log.rooms[wanted.room_id][wanted.after_sequence : wanted.after_sequence + wanted.limit]
        stretch = reading.LogStretch(room_id=wanted.room_id, head_sequence=self.log.head(wanted.room_id))
        for record in records:
            seen = not wanted.user_id or self.log.visible(wanted.room_id, wanted.user_id, record.sequence)
            last = stretch.entries[-1] if stretch.entries else None
            if seen:
                stretch.entries.add(sequence=record.sequence, to_sequence=record.sequence, event=record)
            elif last is not None and not last.HasField("event"):
                last.to_sequence = record.sequence
            else:
                stretch.entries.add(sequence=record.sequence, to_sequence=record.sequence)
        return stretch

    async def AdvanceReceipt(self, request: Any, context: Any) -> receipt_service_pb2.AdvanceReceiptResponse:  # noqa: N802 — gRPC names it
        user_id = self._caller(context)
        reply = receipt_service_pb2.AdvanceReceiptResponse()
        reply.receipt.room_id, reply.receipt.user_id = request.room_id, user_id
        reply.receipt.read_sequence = request.read_sequence
        signal = RoomSignal(room_id=request.room_id, user_id=user_id, read_sequence=request.read_sequence)
        for chat in self.chats:
            chat.signal(signal)
        return reply

    # ---- auth and chat's control plane ----------------------------------------------------------

    async def GetJwks(self, request: Any, context: Any) -> auth_service_pb2.GetJwksResponse:  # noqa: N802 — gRPC names it
        return auth_service_pb2.GetJwksResponse(keys=[Jwk(**public_jwk())])

    async def Login(self, request: Any, context: Any) -> auth_service_pb2.LoginResponse:  # noqa: N802 — gRPC names it
        self._caller(context)
        reply = auth_service_pb2.LoginResponse(access_token=token(9), refresh_token="r")
        reply.user.user_id = 9
        reply.expires_in.FromSeconds(900)
        return reply

    async def CheckSessions(self, request: Any, context: Any) -> directory.CheckSessionsResponse:  # noqa: N802 — gRPC names it
        ended = self.ended_sessions & set(request.session_ids)
        return directory.CheckSessionsResponse(ended_session_ids=ended)

    async def CreateRoom(self, request: Any, context: Any) -> room_service_pb2.CreateRoomResponse:  # noqa: N802 — gRPC names it
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


@dataclass
class Attached:
    """One edge's stream."""

    out: asyncio.Queue[link.AttachResponse | None] = field(default_factory=asyncio.Queue)
    users: dict[int, int] = field(default_factory=dict)


class FakeChat(link_service_pb2_grpc.LinkServiceServicer):
    """One chat instance's hub."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.attached: list[Attached] = []
        self.sends: list[link.Send] = []
        self.hold_outcomes = False
        self.hold_opens = False
        self.refuse: link.Failure | None = None
        self.refuse_sends: link.Failure | None = None
        self.requests: list[link.AttachRequest] = []
        self.broken_with = grpc.StatusCode.UNAVAILABLE

    async def Attach(  # noqa: N802 — gRPC names it
        self, requests: AsyncIterator[link.AttachRequest], context: Any
    ) -> AsyncIterator[link.AttachResponse]:
        attached = Attached()
        self.attached.append(attached)
        reader = asyncio.create_task(self._read(requests, attached))
        try:
            yield link.AttachResponse(chat_instance=self.name)
            while True:
                response = await attached.out.get()
                if response is None:
                    await context.abort(self.broken_with, "gone")
                    return
                yield response
        finally:
            reader.cancel()
            self.attached.remove(attached)

    async def _read(self, requests: AsyncIterator[link.AttachRequest], attached: Attached) -> None:
        async for request in requests:
            self.requests.append(request)
            self._open(attached, request)
            for connection_id in request.closed_connection_ids:
                attached.users.pop(connection_id, None)
            for send in request.sends:
                self.sends.append(send)
                if not self.hold_outcomes:
                    self.commit(attached, send)
            for signal in request.signals:
                for chat in self.world.chats:
                    chat.signal(signal.signal)

    def _open(self, attached: Attached, request: link.AttachRequest) -> None:
        response = link.AttachResponse()
        for opening in request.open:
            if self.hold_opens:
                continue
            if self.refuse is not None:
                response.opened.add(connection_id=opening.connection_id, failure=self.refuse)
                continue
            user_id = user_of(opening.access_token)
            attached.users[opening.connection_id] = user_id
            rooms = self.world.log.rooms_of(user_id)
            response.opened.add(connection_id=opening.connection_id, user_id=user_id, rooms=rooms)
        for refreshing in request.refresh:
            response.refreshed.add(
                connection_id=refreshing.connection_id, user_id=user_of(refreshing.access_token)
            )
        attached.out.put_nowait(response)

    def commit(self, attached: Attached, send: link.Send) -> None:
        """Does a send, once for its request id."""
        response = link.AttachResponse()
        if self.refuse_sends is not None:
            response.outcomes.add(tag=send.tag, failure=self.refuse_sends)
            attached.out.put_nowait(response)
            return
        request, log = send.request, self.world.log
        user_id = attached.users[send.connection_id]
        key = (request.room_id, user_id, request.request_id)
        duplicate = key in log.requests
        if not duplicate:
            record = log.append(request.room_id, message_event(user_id, request.text, request.request_id))
            log.requests[key] = record.sequence
            self.world.publish(record)
        sent = SendMessageResponse(
            room_id=request.room_id, sequence=log.requests[key], message_id=1000, duplicate=duplicate
        )
        sent.create_time.FromMilliseconds(1_700_000_000_000)
        response.outcomes.add(tag=send.tag, sent=sent)
        attached.out.put_nowait(response)

    def pass_on(self, record: EventRecord) -> None:
        """An event to the edges that have a member of its room, or one that joins."""
        for attached in self.attached:
            users = set(attached.users.values())
            concerned = users & {*record.joined_user_ids, *record.left_user_ids}
            if concerned or any(self.world.log.joined(record.room_id, user_id) for user_id in users):
                attached.out.put_nowait(link.AttachResponse(events=[record]))

    def signal(self, signal: RoomSignal) -> None:
        """A signal to every edge."""
        for attached in self.attached:
            attached.out.put_nowait(link.AttachResponse(signals=[signal]))

    def tell(self, **fields: Any) -> None:
        """Anything else to every edge."""
        for attached in self.attached:
            attached.out.put_nowait(link.AttachResponse(**fields))

    def break_off(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        """Every stream ends with this status."""
        self.broken_with = code
        for attached in self.attached:
            attached.out.put_nowait(None)

    def heads(self, *room_ids: int) -> None:
        """The heads of rooms, as after a lost hint."""
        self.tell(heads=[RoomHead(room_id=r, head_sequence=self.world.log.head(r)) for r in room_ids])


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
