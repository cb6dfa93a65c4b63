"""`websockets` (Sans-I/O) as the edge uses it: the handshake, and frames in."""

from __future__ import annotations

from http import HTTPStatus

from polychat.edge.v1.server_frame_pb2 import ServerFrame
from websockets.frames import CloseCode as RfcCloseCode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from edge.protocol import server_frames
from edge.protocol.codes import CloseCode
from edge.protocol.errors import FrameTooLarge
from edge.protocol.events import Wire
from edge.protocol.framing import binary_frame, text_frame

SUBPROTOCOLS = {"polychat.v1.json": Wire.JSON, "polychat.v1.proto": Wire.BINARY}


class EdgeProtocol(ServerProtocol):
    """The library's server, with our answer to a message that is too large: an error, then 4201."""

    def fail(self, code: RfcCloseCode | int, reason: str = "") -> None:
        """See Protocol.fail."""
        if code == RfcCloseCode.MESSAGE_TOO_BIG and self.state is State.OPEN:
            failure = FrameTooLarge(limit=str(self.max_message_size))
            if self.subprotocol == "polychat.v1.proto":
                error = ServerFrame(error=server_frames.error_message(failure))
                self.writes.append(binary_frame(error.SerializeToString()))
            else:
                self.writes.append(text_frame(server_frames.error_json(0, failure)))
            code, reason = CloseCode.BAD_FRAME, failure.reason
        super().fail(code, reason)

    def __init__(self, *, state: State = State.CONNECTING, max_size: int | None = None) -> None:
        super().__init__(
            state=state, max_size=max_size, subprotocols=[Subprotocol(name) for name in SUBPROTOCOLS]
        )

    def let_go(self) -> None:
        """Ends the parser and forgets what it ended with. Both point back here: for the three to be freed the
        cycle collector would have to come, and with many connections it seldom does."""
        self.parser.close()
        self.parser_exc = None

    def select_subprotocol(self, subprotocols: list[Subprotocol]) -> Subprotocol | None:  # type: ignore[override]
        """The first offered one that we speak."""
        return next((name for name in subprotocols if name in SUBPROTOCOLS), None)


def upgrade(request: Request, message_bytes: int) -> tuple[bytes, EdgeProtocol | None]:
    """The answer to an upgrade, and the protocol that goes on from there; None when it was rejected.

    The library parses the handshake and frames with one object; ours was parsed by h11, so one does
    the handshake and a second one begins open.
    """
    handshake = EdgeProtocol()
    response = handshake.accept(request)
    handshake.let_go()
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        return response.serialize(), None
    protocol = EdgeProtocol(state=State.OPEN, max_size=message_bytes)
    protocol.subprotocol = handshake.subprotocol
    return response.serialize(), protocol
