"""The life of a connection, on any wire: hello, welcome, frames, alarms, close.

Wires call `connected`, `receive` and `closed`; the link calls `link_received`; one task calls `sweep`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from polychat.internal.link.v1 import link_service_pb2 as link_pb

from chassis import logs
from chassis.caller import Caller
from chassis.errors import Failure, RateLimited, SessionRevoked, TokenExpired
from edge.admission import Admission
from edge.callers import Callers
from edge.config import EdgeSettings
from edge.failures import failure_from, failure_of
from edge.lifetimes import Lifetimes
from edge.link import Link
from edge.metrics import EdgeMetrics
from edge.peer import Opening, Peer
from edge.protocol import shapes
from edge.protocol.client_frames import Incoming, Refused, decode_binary, decode_json
from edge.protocol.codes import CloseCode, close_code_for
from edge.protocol.connection import REQUESTS, Connection, Kind, Phase, Step
from edge.protocol.errors import FrameTooLarge, HelloRepeated, HelloRequired
from edge.protocol.events import Wire
from edge.protocol.limits import FRAME_BYTES
from edge.requests import Requests
from edge.room import User
from edge.rooms import Rooms
from edge.wheel import Wheel

MAX_RATE_STRIKES = 100
"""Frames over the rate before the connection is closed with 4103."""

log = logs.get("edge")


class Sessions:
    """All connections of this process."""

    def __init__(
        self,
        settings: EdgeSettings,
        callers: Callers,
        rooms: Rooms,
        admission: Admission,
        wheel: Wheel,
        tasks: asyncio.TaskGroup,
        metrics: EdgeMetrics,
        clock: Callable[[], float],
    ) -> None:
        self.link: Link
        self.requests: Requests
        self.by_session: dict[int, set[Peer]] = {}
        self.peers: dict[int, Peer] = {}
        self.empty = asyncio.Event()
        """Set while there is no connection."""
        self.empty.set()
        self.lifetimes = Lifetimes(settings, wheel, self.close, self._request_of, clock)
        self._callers = callers
        self._rooms = rooms
        self.admission = admission
        self._tasks = tasks
        self._metrics = metrics
        self._clock = clock
        self.drained = rooms.drained
        self.link_begins = rooms.ask_anew
        self._next_id = random.getrandbits(31) << 24
        self._opening: dict[int, Opening] = {}

    def use(self, link: Link, requests: Requests) -> None:
        """Says what requests go to; the two need each other, so this comes after both are made."""
        self.link = link
        self.requests = requests

    def new_connection(self) -> Connection:
        """A connection with an id of its own."""
        self._next_id += 1
        return Connection(self._next_id)

    def connected(self, peer: Peer) -> None:
        """A wire is up; `hello` is due."""
        self.peers[peer.connection.connection_id] = peer
        self.empty.clear()
        self.admission.arrived(peer)
        self.lifetimes.await_hello(peer)
        self._metrics.opened(peer.wire.name.lower())

    def receive(self, peer: Peer, data: bytes) -> None:
        """One frame came in. It is handled, or held back while the connection takes none."""
        connection = peer.connection
        if connection.phase is Phase.CLOSING:
            return
        connection.missed = 0
        if not connection.readable:
            peer.hold(data)
            return
        try:
            if len(data) > FRAME_BYTES:
                raise Refused(FrameTooLarge(limit=str(FRAME_BYTES)), fatal=True)
            incoming = decode_json(data) if peer.wire is Wire.JSON else decode_binary(data)
        except Refused as refused:
            self._metrics.frame("invalid")
            self._refuse(peer, refused)
            return
        self._metrics.frame(incoming.kind)
        self._handle(peer, incoming)

    def closed(self, peer: Peer, code: int) -> None:
        """The wire is down."""
        connection = peer.connection
        self.peers.pop(connection.connection_id, None)
        if not self.peers:
            self.empty.set()
        self.lifetimes.end(peer)
        self._forget_opening(connection)
        connection.close()
        self._rooms.leave(peer)
        self.link.close(connection.connection_id)
        self.admission.left(peer)
        mates = self.by_session.get(connection.session_id)
        if mates is not None:
            mates.discard(peer)
            if not mates:
                del self.by_session[connection.session_id]
        self._metrics.closed(peer.wire.name.lower(), code)

    def close(self, peer: Peer, code: CloseCode, failure: Failure | None = None, request_id: int = 0) -> None:
        """Ends a connection: an `error` when there is something to say, then the close code."""
        if not peer.connection.close():
            return
        if failure is not None:
            peer.send_error(request_id, failure)
        reason = failure.reason if failure is not None else code.name
        self.lifetimes.await_close(peer)
        self.admission.end_opening(peer)
        self._forget_opening(peer.connection)
        self._rooms.leave(peer)
        peer.held = None
        peer.shut(code, reason)

    def _handle(self, peer: Peer, incoming: Incoming) -> None:
        connection = peer.connection
        over_rate = connection.phase is Phase.OPEN and not self.admission.may_send(peer)
        step = connection.receive(incoming.kind)
        if step is Step.HANDLE:
            try:
                if over_rate:
                    raise RateLimited(retry_after=self.admission.wait_seconds(peer))
                self.requests.handle(peer, incoming)
            except Failure as failure:
                self._failed(peer, incoming, failure)
        elif step is Step.OPEN:
            self._greet(peer, incoming)
        elif step is Step.REFUSE_UNGREETED:
            self.close(peer, CloseCode.UNAUTHENTICATED, HelloRequired(), incoming.id)
        elif step is Step.REFUSE_REPEATED:
            peer.send_error(incoming.id, HelloRepeated())

    def _failed(self, peer: Peer, incoming: Incoming, failure: Failure) -> None:
        if incoming.kind in REQUESTS:
            self.requests.finish(peer, incoming.kind, incoming.id, failure)
        if failure.reason == RateLimited.reason and self.admission.strike(peer) > MAX_RATE_STRIKES:
            self.close(peer, CloseCode.RATE_LIMITED, failure)

    def _refuse(self, peer: Peer, refused: Refused) -> None:
        if refused.fatal:
            self.close(peer, CloseCode.BAD_FRAME, refused.failure, refused.request_id)
        elif peer.connection.phase is Phase.AWAITING_HELLO:
            self.close(peer, close_code_for(refused.failure), refused.failure, refused.request_id)
        elif refused.request_id:
            peer.send_error(refused.request_id, refused.failure)

    def _greet(self, peer: Peer, incoming: Incoming) -> None:
        self.lifetimes.await_hello(peer)
        try:
            shapes.check(Kind.HELLO, incoming.body)
            self.admission.begin_opening(peer)
            caller = self._callers.verify_cached(incoming.body.access_token)
            if caller is not None:
                self._admit(peer, incoming, caller)
                return
        except Failure as failure:
            self._unwelcome(peer, incoming.id, failure)
            return

        async def verify() -> None:
            try:
                caller = await self._callers.verify(incoming.body.access_token)
                if peer.connection.phase is Phase.OPENING:
                    self._admit(peer, incoming, caller)
            except Exception as error:  # noqa: BLE001 — one connection's bug is not the process's end
                self._unwelcome(peer, incoming.id, failure_from(error, Kind.HELLO))

        self._tasks.create_task(verify())

    def _admit(self, peer: Peer, incoming: Incoming, caller: Caller) -> None:
        if caller.expire_time <= self._clock():
            raise TokenExpired
        self.admission.admit(peer, caller.user_id)
        connection = peer.connection
        connection.identify(caller.user_id, caller.session_id, caller.token, caller.expire_time)
        self.by_session.setdefault(caller.session_id, set()).add(peer)
        self._opening[connection.connection_id] = Opening(peer, incoming.id, incoming.body)
        self._rooms.expect(caller.user_id)
        self.link.open(connection.connection_id, caller.token)

    def _request_of(self, peer: Peer) -> int:
        opening = self._opening.get(peer.connection.connection_id)
        return opening.request_id if opening is not None else 0

    def _unwelcome(self, peer: Peer, request_id: int, failure: Failure) -> None:
        if peer.connection.phase is Phase.OPENING:
            self.close(peer, close_code_for(failure), failure, request_id)

    def _forget_opening(self, connection: Connection) -> None:
        opening = self._opening.pop(connection.connection_id, None)
        if opening is not None:
            self._rooms.recall(connection.user_id)

    def link_received(self, response: link_pb.AttachResponse) -> None:
        """Takes in what chat says; see LinkReceiver."""
        self._rooms.deliver(response)
        for opened in response.opened:
            self._opened(opened)
        for refreshed in response.refreshed:
            peer = self.peers.get(refreshed.connection_id)
            if peer is not None and refreshed.HasField("failure"):
                self._refused(peer, failure_of(refreshed.failure))
        for session_id in response.revoked_session_ids:
            self.revoke(session_id)
        self._rooms.flush()

    def _opened(self, opened: link_pb.ConnectionOpened) -> None:
        self._rooms.follow(opened, lambda peer: self.close(peer, CloseCode.SHUTTING_DOWN))
        opening = self._opening.get(opened.connection_id)
        if opening is None:
            peer = self.peers.get(opened.connection_id)
            if peer is not None and peer.connection.phase is Phase.OPEN:
                self._reopened(peer, opened)
            return
        peer = opening.peer
        if self._rooms.is_old(opened):
            self.link.open(opened.connection_id, peer.connection.token)
            return
        del self._opening[opened.connection_id]
        passed = self._rooms.recall(peer.connection.user_id)
        if opened.HasField("failure"):
            self._unwelcome(peer, opening.request_id, failure_of(opened.failure))
            return
        peer.connection.opened()
        self.admission.greeted(peer)
        self.lifetimes.keep(peer)
        self._rooms.welcome(peer, opening.request_id, opening.hello, opened, passed)
        self.requests.finish(peer, Kind.HELLO, 0, None)
        peer.outbox.later(peer.resume_reading)

    def _reopened(self, peer: Peer, opened: link_pb.ConnectionOpened) -> None:
        if not opened.HasField("failure"):
            self._rooms.compare(peer, opened)
        elif not self._refused(peer, failure_of(opened.failure)):
            self._tasks.create_task(self._open_again(peer))

    def ask_again(self, user: User) -> None:
        """Has chat tell the rooms of a user once more, by one of their connections."""
        peer = user.ask()
        if peer is not None:
            self.link.open(peer.connection.connection_id, peer.connection.token)

    def _refused(self, peer: Peer, failure: Failure) -> bool:
        """Closes a connection that chat does not take any more; False when it may take it later."""
        if not failure.retryable:
            self.close(peer, close_code_for(failure), failure)
        return not failure.retryable

    async def _open_again(self, peer: Peer) -> None:
        await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 — spreads retries
        if peer.connection.phase is Phase.OPEN:
            self.link.open(peer.connection.connection_id, peer.connection.token)

    def revoke(self, session_id: int) -> None:
        """A session ended: its connections close with 4200, its tokens are refused."""
        self._callers.end(session_id)
        for peer in tuple(self.by_session.get(session_id, ())):
            self.close(peer, CloseCode.UNAUTHENTICATED, SessionRevoked(), self._request_of(peer))

    def sweep(self) -> None:
        """Called a few times a second: looks at what is due."""
        self.lifetimes.sweep()
        self.link.expire()

    def drain(self, window_seconds: float) -> None:
        """Sends everybody elsewhere."""
        self.lifetimes.drain(tuple(self.peers.values()), window_seconds)
