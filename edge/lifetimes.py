"""What happens to a connection by the clock: late hellos, heartbeats, the end of tokens, draining."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Protocol

from polychat.edge.v1.server_frame_pb2 import Goaway, ServerFrame, TokenExpiring
from polychat.edge.v1.signal_pb2 import Ping

from chassis.errors import BackendUnavailable, Failure, TokenExpired
from edge.config import EdgeSettings
from edge.peer import Peer
from edge.protocol.codes import CloseCode
from edge.protocol.connection import Phase
from edge.protocol.errors import HelloTooLate
from edge.wheel import Wheel

MISSED_HEARTBEATS = 2
ANSWER_SHARE = 0.25
"""Of a heartbeat, for the answer to a ping: who is gone is let go within two heartbeats, closing included."""

PROMPT_BYTES = 4096
"""A ping behind more than this may be answered late by a slow reader that is well. As long as such
a peer takes bytes it is not asked; of a slow one that is watched more closely (Bounds.stalled)."""


FINISH_SECONDS = 1.0
"""For the answers to what a peer has asked when its turn to leave comes: a send is answered in far less."""


class Close(Protocol):
    """Ends a connection; see Sessions.close."""

    def __call__(
        self, peer: Peer, code: CloseCode, failure: Failure | None = None, request_id: int = 0
    ) -> None: ...


class Lifetimes:
    """One alarm for each peer, and what to do when it rings."""

    def __init__(
        self,
        settings: EdgeSettings,
        wheel: Wheel,
        close: Close,
        request_of: Callable[[Peer], int],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._wheel = wheel
        self._close = close
        self._request_of = request_of
        self._clock = clock
        self._draining = False
        self._pinged: set[Peer] = set()
        """Whose next alarm is for the answer to a ping."""
        self._finishing: set[Peer] = set()
        """Whose turn to leave has come and who was given the time to be answered."""

    def await_hello(self, peer: Peer) -> None:
        """`hello` is due, or its answer."""
        self._wheel.set(peer, self._settings.hello_seconds)

    def await_close(self, peer: Peer) -> None:
        """The peer is to close its side."""
        self._wheel.set(peer, self._settings.close_seconds)

    def end(self, peer: Peer) -> None:
        """The peer is gone."""
        self._pinged.discard(peer)
        self._finishing.discard(peer)
        self._wheel.cancel(peer)

    def keep(self, peer: Peer) -> None:
        """Sets the next alarm of an open connection: a heartbeat, a warning, or the end of its token.

        While draining the one that it has stays: at it the peer leaves, whether or not its token is new.
        """
        if self._draining:
            return
        self._pinged.discard(peer)
        self._set(peer, 1.0)

    def sweep(self) -> None:
        """Looks at the peers whose alarm is due."""
        for peer in self._wheel.advance():
            self._ring(peer)

    def drain(self, peers: Iterable[Peer], window_seconds: float) -> None:
        """Says `goaway` to everybody and closes them with 4000, spread over the window."""
        self._draining = True
        for peer in peers:
            if peer.connection.phase is not Phase.OPEN:
                self._close(peer, CloseCode.SHUTTING_DOWN)
                continue
            delay = random.uniform(0.0, window_seconds)  # noqa: S311 — spreads the reconnects
            frame = ServerFrame(goaway=Goaway(reason="DRAINING"))
            frame.goaway.reconnect_after.FromMilliseconds(int(delay * 1000))
            peer.send(frame)
            self._wheel.set(peer, delay)

    def _set(self, peer: Peer, heartbeats: float) -> None:
        remaining = peer.connection.expire_time - self._clock()
        warning = remaining if peer.connection.warned else remaining - self._settings.token_warning_seconds
        self._wheel.set(peer, min(heartbeats * self._settings.heartbeat_seconds, max(0.0, warning)))

    def _ring(self, peer: Peer) -> None:
        phase = peer.connection.phase
        if phase is Phase.OPEN:
            self._ring_open(peer)
        elif phase is Phase.AWAITING_HELLO:
            self._close(peer, CloseCode.HELLO_TOO_LATE, HelloTooLate())
        elif phase is Phase.OPENING:
            self._close(peer, CloseCode.INTERNAL, BackendUnavailable("chat"), self._request_of(peer))
        else:
            peer.abort()

    def _ring_open(self, peer: Peer) -> None:
        connection, now = peer.connection, self._clock()
        if self._draining and connection.in_flight and peer not in self._finishing:
            self._finishing.add(peer)
            self._wheel.set(peer, FINISH_SECONDS)
        elif self._draining:
            self._close(peer, CloseCode.SHUTTING_DOWN)
        elif connection.expire_time <= now:
            self._close(peer, CloseCode.TOKEN_EXPIRED, TokenExpired())
        elif not connection.warned and connection.expire_time - now <= self._settings.token_warning_seconds:
            connection.warned = True
            frame = ServerFrame(token_expiring=TokenExpiring())
            frame.token_expiring.expires_in.FromSeconds(max(0, int(connection.expire_time - now)))
            peer.send(frame)
            self.keep(peer)
        elif peer.slow or (peer.backlog > PROMPT_BYTES and peer.still_takes()):
            self.keep(peer)  # its ping would wait in line
        elif connection.missed >= MISSED_HEARTBEATS:
            self._close(peer, CloseCode.NO_HEARTBEAT)
        elif peer in self._pinged and not connection.missed:
            self._pinged.discard(peer)  # it was heard of; the next ping comes a heartbeat after the last
            self._set(peer, 1.0 - ANSWER_SHARE)
        else:
            connection.missed += 1
            peer.send(ServerFrame(ping=Ping()))
            self._pinged.add(peer)
            self._set(peer, ANSWER_SHARE)
