"""`GET /ws`: who may upgrade, and into which protocol."""

from __future__ import annotations

import math
from collections.abc import Collection
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Request

from chassis import logs
from chassis.errors import Code, Failure, InvalidField, Overloaded
from edge.admission import Admission
from edge.application import Application
from edge.bounds import Bounds
from edge.connect import HTTP_STATUS, error_body
from edge.http import HttpRequest, Upgrade
from edge.metrics import EdgeMetrics
from edge.origins import has_token, origin_allowed
from edge.peer import Outbox, Peer
from edge.protocol.codes import CloseCode
from edge.protocol.errors import FrameInvalid
from edge.server import WebSocketPeer
from edge.sessions import Sessions
from edge.static import SECURITY_HEADERS
from edge.websocket import SUBPROTOCOLS, upgrade

log = logs.get("edge")


class OriginRefused(Failure):
    """A page of a foreign origin wants to open a WebSocket."""

    code = Code.PERMISSION_DENIED
    reason = "METHOD_NOT_ALLOWED"
    text = "this origin may not open a WebSocket here"


class Handshakes:
    """Upgrades or refuses."""

    def __init__(
        self,
        sessions: Sessions,
        admission: Admission,
        outbox: Outbox,
        bounds: Bounds,
        metrics: EdgeMetrics,
        allowed_origins: Collection[str],
    ) -> None:
        self._sessions = sessions
        self._application: Application = Frames(sessions)
        self._admission = admission
        self._outbox = outbox
        self._bounds = bounds
        self._metrics = metrics
        self._allowed_origins = frozenset(allowed_origins)

    def shake(self, request: HttpRequest, pairs: list[tuple[str, str]]) -> Upgrade:
        """The answer to one request for /ws."""
        failure = self._refusal(request, pairs)
        if failure is not None:
            self._metrics.refused(failure.reason)
            return Upgrade(_refused(failure), None)
        response, protocol = upgrade(
            Request(request.path, Headers(pairs), request.method), self._bounds.message_bytes
        )
        if protocol is None:
            self._metrics.refused("HANDSHAKE_INVALID")
            return Upgrade(response, None)
        peer = WebSocketPeer(
            self._sessions.new_connection(),
            protocol,
            self._application,
            self._outbox,
            self._bounds,
            request.address,
        )
        offered = request.headers.get("sec-websocket-protocol")
        if offered is not None and protocol.subprotocol not in SUBPROTOCOLS:
            self._outbox.later(lambda: self._sessions.close(peer, CloseCode.UNSUPPORTED_PROTOCOL))
        return Upgrade(response, peer)

    def _refusal(self, request: HttpRequest, pairs: list[tuple[str, str]]) -> Failure | None:
        origins = [value for name, value in pairs if name == "origin"]
        if has_token(request.query):
            log.warning("token_in_url", path=request.path, address=request.address)
            return InvalidField("url", "a token does not belong into a URL; send it in hello")
        host = request.headers.get("host", "")
        if len(origins) > 1 or not origin_allowed(
            origins[0] if origins else None, host, self._allowed_origins
        ):
            log.warning("origin_refused", origin=origins[0][:200], address=request.address)
            return OriginRefused(close_code=str(int(CloseCode.ORIGIN_REFUSED)))
        return self._admission.refuse_handshake(request.address)


class Frames:
    """The WebSockets' application: sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.connected = sessions.connected
        self.receive = sessions.receive
        self.drained = sessions.drained
        self.closed = sessions.closed

    def refuse(self, peer: Peer, failure: FrameInvalid) -> None:
        """See Application."""
        self._sessions.close(peer, CloseCode.BAD_FRAME, failure)


def _refused(failure: Failure) -> bytes:
    # 503 and not 429: it is not the caller who asks too often, and what stands between may try another edge.
    status = 503 if isinstance(failure, Overloaded) else HTTP_STATUS[failure.code]
    body = error_body(failure)
    head = [
        f"HTTP/1.1 {status} {_phrase(status)}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    head += ["connection: close", "cache-control: no-store"]
    if failure.retry_after is not None:
        head.append(f"retry-after: {math.ceil(failure.retry_after)}")
    head += [f"{name}: {value}" for name, value in SECURITY_HEADERS]
    return "\r\n".join([*head, "", ""]).encode() + body


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
