"""What each request of an open connection does: send, call, receipt, typing, refresh, presence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from polychat.chat.v1.messaging_service_pb2 import SendMessageResponse
from polychat.edge.v1.server_frame_pb2 import Ok, ServerFrame
from polychat.edge.v1.signal_pb2 import Pong
from polychat.internal.log.v1.record_pb2 import RoomSignal

from chassis.errors import Failure, Overloaded, TokenExpired, TokenInvalid, Unimplemented
from edge.callers import Callers
from edge.failures import failure_from
from edge.gateway import Gateway, Origin, check_binary
from edge.link import Link
from edge.methods import find
from edge.metrics import EdgeMetrics
from edge.peer import Peer
from edge.protocol import shapes
from edge.protocol.client_frames import CallBody, Incoming
from edge.protocol.connection import Kind
from edge.protocol.events import Wire

ADVANCE_RECEIPT = find("polychat.message.v1.ReceiptService/AdvanceReceipt")


class Requests:
    """Handles the frames of open connections; every request gets exactly one reply."""

    def __init__(
        self,
        link: Link,
        gateway: Gateway,
        callers: Callers,
        tasks: asyncio.TaskGroup,
        metrics: EdgeMetrics,
        clock: Callable[[], float],
        refreshed: Callable[[Peer], None],
    ) -> None:
        self._link = link
        self._gateway = gateway
        self._callers = callers
        self._tasks = tasks
        self._metrics = metrics
        self._clock = clock
        self._refreshed = refreshed
        self._handlers: dict[Kind, Callable[[Peer, int, Any], None]] = {
            Kind.SEND: self._send,
            Kind.CALL: self._call,
            Kind.RECEIPT: self._receipt,
            Kind.TYPING: self._typing,
            Kind.WATCH_PRESENCE: self._watch_presence,
            Kind.REFRESH: self._refresh,
            Kind.PING: self._ping,
            Kind.PONG: self._pong,
        }

    def handle(self, peer: Peer, incoming: Incoming) -> None:
        """Does what the frame asks for. Raises Failure for a request that is refused at once."""
        if incoming.kind is not Kind.CALL:
            shapes.check(incoming.kind, incoming.body)
        self._handlers[incoming.kind](peer, incoming.id, incoming.body)

    def finish(self, peer: Peer, kind: Kind, request_id: int, failure: Failure | None) -> None:
        """Counts a request as answered; sends the error if it is one."""
        connection = peer.connection
        was_readable = connection.readable
        connection.answered()
        if failure is not None and request_id:
            peer.send_error(request_id, failure)
        self._metrics.reply(kind, "ok" if failure is None else failure.reason)
        if not was_readable:
            peer.outbox.later(peer.resume_reading)

    def _send(self, peer: Peer, request_id: int, body: Any) -> None:
        def outcome(result: SendMessageResponse | Failure) -> None:
            if isinstance(result, Failure):
                self.finish(peer, Kind.SEND, request_id, result)
                return
            if request_id:
                peer.send_sent(request_id, result)
            self.finish(peer, Kind.SEND, request_id, None)

        self._link.send(peer.connection.connection_id, body, outcome)

    def _call(self, peer: Peer, request_id: int, body: CallBody) -> None:
        method = find(body.method)
        origin = Origin(peer.address, peer.connection.token)

        async def call() -> None:
            if peer.wire is Wire.JSON:
                reply = await self._gateway.call_json(method, body.params, origin)
            else:
                check_binary(method, body.params)
                reply = await self._gateway.call(method, body.params, origin)
            if request_id and not peer.has_room(len(reply)):
                raise Overloaded("the replies before this one were not taken; ask again when they are")
            if request_id:
                peer.send_result(request_id, reply)

        self._start(peer, Kind.CALL, request_id, call)

    def _receipt(self, peer: Peer, request_id: int, body: Any) -> None:
        request = body.SerializeToString()
        peer.gave_receipt(body.room_id, body.read_sequence)
        origin = Origin(peer.address, peer.connection.token)

        async def advance() -> None:
            try:
                await self._gateway.call(ADVANCE_RECEIPT, request, origin)
            except BaseException:
                peer.take_back_receipt(body.room_id)
                raise
            self._ok(peer, request_id)

        self._start(peer, Kind.RECEIPT, request_id, advance)

    def _refresh(self, peer: Peer, request_id: int, body: Any) -> None:
        async def refresh() -> None:
            caller = await self._callers.verify(body.access_token)
            connection = peer.connection
            if (caller.user_id, caller.session_id) != (connection.user_id, connection.session_id):
                raise TokenInvalid("the token is of another user or session than this connection's")
            if caller.expire_time <= self._clock():
                raise TokenExpired
            connection.identify(caller.user_id, caller.session_id, caller.token, caller.expire_time)
            self._link.refresh(connection.connection_id, caller.token)
            self._refreshed(peer)
            self._ok(peer, request_id)

        self._start(peer, Kind.REFRESH, request_id, refresh)

    def _watch_presence(self, _peer: Peer, _request_id: int, _body: Any) -> None:
        raise Unimplemented("presence is not implemented yet")

    def _typing(self, peer: Peer, _request_id: int, body: Any) -> None:
        user = peer.user
        if user is not None and body.room_id in user.rooms:
            signal = RoomSignal(room_id=body.room_id, user_id=user.user_id, typing=True)
            self._link.signal(peer.connection.connection_id, signal)

    def _ping(self, peer: Peer, request_id: int, _body: Any) -> None:
        peer.send(ServerFrame(id=request_id, pong=Pong()))

    def _pong(self, _peer: Peer, _request_id: int, _body: Any) -> None:
        """It was heard, which is all."""

    def _ok(self, peer: Peer, request_id: int) -> None:
        if request_id:
            peer.send(ServerFrame(id=request_id, ok=Ok()))

    def _start(self, peer: Peer, kind: Kind, request_id: int, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            failure: Failure | None = None
            try:
                await work()
            except Exception as error:  # noqa: BLE001 — one request's bug is not the process's end
                failure = failure_from(error, kind)
            self.finish(peer, kind, request_id, failure)

        self._tasks.create_task(run())
