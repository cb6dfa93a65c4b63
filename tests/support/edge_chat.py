"""The chat instances of the world of `edge_world`: hubs in memory behind real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from polychat.chat.v1.messaging_service_pb2 import SendMessageResponse
from polychat.internal.link.v1 import link_service_pb2 as link
from polychat.internal.link.v1 import link_service_pb2_grpc
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomHead, RoomSignal

from tests.support.edge_log import message_event, user_of

if TYPE_CHECKING:
    from tests.support.edge_world import World


@dataclass
class Attached:
    """One edge's stream."""

    out: asyncio.Queue[link.AttachResponse | None] = field(default_factory=asyncio.Queue)
    users: dict[int, int] = field(default_factory=dict)
    left: bool = False
    """The edge has said all."""


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
        self.greets = asyncio.Event()
        self.greets.set()
        self.broken_with = grpc.StatusCode.UNAVAILABLE

    async def Attach(  # noqa: N802 — gRPC names it
        self, requests: AsyncIterator[link.AttachRequest], context: Any
    ) -> AsyncIterator[link.AttachResponse]:
        attached = Attached()
        self.attached.append(attached)
        reader = asyncio.create_task(self._read(requests, attached))
        try:
            await self.greets.wait()
            yield link.AttachResponse(chat_instance=self.name)
            while True:
                response = await attached.out.get()
                if response is None and attached.left:
                    return
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
        attached.left = True
        await attached.out.put(None)

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
            response.opened.add(
                connection_id=opening.connection_id,
                user_id=user_id,
                rooms=rooms,
                log_epochs=sorted(self.world.log.epochs),
            )
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
