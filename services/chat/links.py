"""One attached edge: its connections' tokens, their rooms, their sends. Reads what the edge says and
answers through its LinkOutput."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from polychat.internal.link.v1.link_service_pb2 import (
    AttachRequest,
    ConnectionOpened,
    ConnectionSignal,
    OpenConnection,
    Send,
    SendOutcome,
)

from chassis.caller import Caller
from chassis.errors import BackendUnavailable, Failure, Overloaded, TokenExpired, TokenInvalid, TokenMissing
from chassis.tokens import LEEWAY_SECONDS
from services.chat.attached import Connection, Edge
from services.chat.hub import Hub
from services.chat.link_output import LinkOutput
from services.chat.peers import UserRoomList
from services.chat.placement import Placement
from services.chat.ports import Clock
from services.chat.typing_signals import TypingSignals
from services.chat.use_cases.sending import Sending, Sent, Settled
from services.chat.wire import draft_of, failure_message, sent_message

MAX_HELD_SENDS = 64
"""Sends of one connection that wait for its token to be checked; more than an edge lets be in flight."""

OPEN_AT_ONCE = 100
"""Connections whose rooms are read and told together; the next wait until the edge has taken these. Who
comes while rooms are read shares the next read: one after the other, 2,000 would wait a minute."""


class Verifier(Protocol):
    """Checks access tokens; chassis.tokens.TokenVerifier does."""

    async def verify(self, token: str) -> Caller:
        """Who it is. Raises a Failure."""


@dataclass(frozen=True, slots=True)
class LinkParts:
    """What every link of the process shares. `wall_clock` is the time of day, for tokens."""

    hub: Hub
    sending: Sending
    placement: Placement
    verifier: Verifier
    typing: TypingSignals
    wall_clock: Clock


class Link:
    """The stream of one edge, from its first message to its last."""

    def __init__(self, parts: LinkParts, edge_instance: str, output: LinkOutput) -> None:
        self._parts = parts
        self._output = output
        self._held: dict[int, list[Send]] = {}
        self._refused: dict[int, Failure] = {}
        """Why a connection is not open, until its edge opens it again or takes it back."""
        self._due: deque[Connection] = deque()
        self._placing = False
        self.edge: Edge = parts.hub.attach(edge_instance, output)

    async def read(self, first: AttachRequest, requests: AsyncIterator[AttachRequest]) -> None:
        """Takes in what the edge says until it ends the stream or this task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._take(first, tasks)
            async for request in requests:
                self._take(request, tasks)

    def _take(self, request: AttachRequest, tasks: asyncio.TaskGroup) -> None:
        if request.open:
            for opening in request.open:
                self._held[opening.connection_id] = []
                self._refused.pop(opening.connection_id, None)
            tasks.create_task(self._open(list(request.open)))
        if request.refresh:
            tasks.create_task(self._refresh(list(request.refresh)))
        for send in request.sends:
            self._send(send)
        for signal in request.signals:
            self._signal(signal)
        for connection_id in request.closed_connection_ids:  # the last: what came before the end counts
            self._held.pop(connection_id, None)
            self._refused.pop(connection_id, None)
            self._parts.hub.close(self.edge, connection_id)

    async def _open(self, opening: Sequence[OpenConnection]) -> None:
        for one in opening:
            connection = await self._accept(one)
            if connection is not None:
                self._due.append(connection)
        if not self._placing:
            self._placing = True
            while self._due:
                await self._output.calm()
                batch = [self._due.popleft() for _ in range(min(OPEN_AT_ONCE, len(self._due)))]
                await self._place([connection for connection in batch if self._still_open(connection)])
            self._placing = False

    async def _place(self, accepted: Sequence[Connection]) -> None:
        users = {connection.user_id for connection in accepted}
        try:
            lists = await self._parts.placement.rooms_of(users)
        except Failure as failure:
            self._give_up(accepted, failure)
            return
        self._give_up([c for c in accepted if c.user_id not in lists], BackendUnavailable("message"))
        for connection in accepted:
            await self._output.calm()
            placed = lists.get(connection.user_id)
            if placed is None or not self._still_open(connection):
                continue
            if self._parts.placement.stale(connection.user_id, placed):
                self._due.append(connection)  # it is read again, with the next
            else:
                self._parts.placement.tell(self._output, connection, placed.rooms)
        await self._compare(placed.rooms for placed in lists.values())

    async def _compare(self, lists: Iterable[UserRoomList]) -> None:
        """Finds what was committed between the lists and now, when the rooms are listened to."""
        room_ids = {room_id for rooms in lists for room_id in rooms.heads}
        try:
            await self._parts.placement.compare(room_ids)
        except Failure:
            self._parts.hub.uncompared |= room_ids  # repair does it when message is back

    async def _accept(self, opening: OpenConnection) -> Connection | None:
        try:
            caller = await self._parts.verifier.verify(opening.access_token)
        except Failure as failure:
            held = self._held.pop(opening.connection_id, None)
            if held is not None:
                self._refuse(opening.connection_id, failure)
                for send in held:
                    self._fail(send, failure)
            return None
        held = self._held.pop(opening.connection_id, None)
        if held is None:
            return None  # closed again before its token was checked
        connection = Connection(opening.connection_id, caller.user_id, caller.session_id, caller.expire_time)
        self._parts.hub.open(self.edge, connection)
        for send in held:
            self._send(send)
        return connection

    def _give_up(self, connections: Iterable[Connection], failure: Failure) -> None:
        for connection in connections:
            if self._still_open(connection):
                self._parts.hub.close(self.edge, connection.connection_id)
                self._refuse(connection.connection_id, failure)

    def _refuse(self, connection_id: int, failure: Failure) -> None:
        self._refused[connection_id] = failure
        self._output.opened(_refusal(connection_id, failure))

    def _still_open(self, connection: Connection) -> bool:
        return self.edge.connections.get(connection.connection_id) is connection

    async def _refresh(self, refreshing: Sequence[OpenConnection]) -> None:
        for refresh in refreshing:
            try:
                caller = await self._parts.verifier.verify(refresh.access_token)
                connection = self._known(refresh.connection_id)
                if caller.user_id != connection.user_id:
                    raise TokenInvalid("the new token belongs to another user")
            except Failure as failure:
                self._output.refreshed(_refusal(refresh.connection_id, failure))
                continue
            connection.session_id = caller.session_id
            connection.expire_time = caller.expire_time
            self._output.refreshed(
                ConnectionOpened(connection_id=connection.connection_id, user_id=connection.user_id)
            )

    def _send(self, send: Send) -> None:
        held = self._held.get(send.connection_id)
        if held is not None:
            if len(held) < MAX_HELD_SENDS:
                held.append(send)
            else:
                self._fail(send, Overloaded())
            return
        try:
            user_id = self._live(send.connection_id).user_id
            draft = draft_of(send.request)
        except Failure as failure:
            self._fail(send, failure)
            return
        tag = send.tag
        self._parts.sending.submit(user_id, draft, lambda settled: self._settled(tag, settled))

    def _signal(self, signal: ConnectionSignal) -> None:
        connection = self.edge.connections.get(signal.connection_id)
        if connection is not None:
            self._parts.typing.pass_on(connection.user_id, signal.signal)

    def _settled(self, tag: int, settled: Settled) -> None:
        if isinstance(settled, Sent):
            self._output.outcome(SendOutcome(tag=tag, sent=sent_message(settled)))
        else:
            self._output.outcome(SendOutcome(tag=tag, failure=failure_message(settled)))

    def _fail(self, send: Send, failure: Failure) -> None:
        self._output.outcome(SendOutcome(tag=send.tag, failure=failure_message(failure)))

    def _known(self, connection_id: int) -> Connection:
        connection = self.edge.connections.get(connection_id)
        if connection is None:
            missing = TokenMissing("the connection was not opened, or has ended")
            raise self._refused.get(connection_id, missing).with_traceback(None)
        return connection

    def _live(self, connection_id: int) -> Connection:
        connection = self._known(connection_id)
        if connection.expire_time + LEEWAY_SECONDS <= self._parts.wall_clock():
            raise TokenExpired
        return connection


def _refusal(connection_id: int, failure: Failure) -> ConnectionOpened:
    return ConnectionOpened(connection_id=connection_id, failure=failure_message(failure))
