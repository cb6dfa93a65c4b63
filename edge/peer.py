"""One connected client, as the rest of the edge sees it, whatever wire it came on.

Nothing is written at once: frames gather in the `Outbox` until the tick ends and leave in one write.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polychat.chat.v1.messaging_service_pb2 import SendMessageResponse
from polychat.edge.v1.client_frame_pb2 import Hello
from polychat.edge.v1.server_frame_pb2 import Gap, ServerFrame

from chassis.errors import Failure
from edge.protocol import server_frames
from edge.protocol.codes import CloseCode
from edge.protocol.connection import Connection
from edge.protocol.events import Wire
from edge.protocol.framing import binary_frame, text_frame
from edge.protocol.limits import HELLO_ROOMS, IN_FLIGHT, REPLIES_BYTES, SMALL_REPLY_BYTES

if TYPE_CHECKING:
    from edge.room import Room, User


class Outbox:
    """Gathers the frames of a tick; `flush` writes once for each peer that has some."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.on_full: Callable[[Peer], None] = _let_be
        """What is done with a peer whose unsent bytes passed the bound."""
        self._loop = loop
        self._due: list[Peer] = []
        self._full: set[Peer] = set()

    def put(self, peer: Peer, frames: bytes) -> None:
        """Adds frames for a peer; they leave when the loop turns, or at the next `flush`."""
        if not self._due:
            self._loop.call_soon(self.flush)
        pending = peer.pending
        if pending is None:
            peer.pending = [frames]
            self._due.append(peer)
        else:
            pending.append(frames)

    def later(self, work: Callable[[], None]) -> None:
        """Does this when the loop turns."""
        self._loop.call_soon(work)

    def overflowed(self, peer: Peer) -> None:
        """A peer has more unsent than it may: `on_full` is due before the next event."""
        if not self._full:
            self._loop.call_soon(self.flush)
        self._full.add(peer)

    def flush(self) -> None:
        """Writes everything that is due."""
        due, self._due = self._due, []
        for peer in due:
            pending, peer.pending = peer.pending, None
            if pending is not None:
                peer.transmit(pending)
        if self._full:
            full, self._full = self._full, set()
            for peer in full:
                self.on_full(peer)


def _let_be(_peer: Peer) -> None:
    """Nobody minds."""


class Peer(ABC):
    """A connection with its way out."""

    __slots__ = (
        "acknowledged",
        "address",
        "alarm",
        "allowance",
        "allowance_time",
        "connection",
        "held",
        "left",
        "moved",
        "outbox",
        "pending",
        "receipts",
        "said",
        "user",
        "wire",
    )

    def __init__(self, connection: Connection, wire: Wire, outbox: Outbox, address: str) -> None:
        self.connection = connection
        self.wire = wire
        self.outbox = outbox
        self.address = address
        self.pending: list[bytes] | None = None
        self.user: User | None = None
        self.held: deque[bytes] | None = None
        """Frames that were read and not handled yet."""
        self.moved: dict[int, Room] | None = None
        """While it lags: the rooms where something happened since. None: it does not lag."""
        self.receipts: dict[int, int] | None = None
        """Rooms with the receipts it gave last: it knows of them."""
        self.said: dict[int, int] = {}
        """The cursors of its `hello` for rooms that its user was not in then; HELLO_ROOMS at most."""
        self.left: dict[int, int] = {}
        """How far it was brought in rooms that its user left since; it goes on from there should they come
        back. HELLO_ROOMS at most."""
        self.acknowledged = 0
        """Bytes that it had taken in all when `still_takes` was asked last."""
        self.alarm = 0
        """The wheel's tick at which this peer is looked at next; 0: none."""
        self.allowance = 0.0
        """Frames it may send at once, as of `allowance_time`."""
        self.allowance_time = 0.0

    def hold(self, data: bytes) -> None:
        """Keeps a frame until the connection takes frames again."""
        if self.held is None:
            self.held = deque()
        self.held.append(data)

    def gave_receipt(self, room_id: int, sequence: int) -> None:
        """It says how far its user has read."""
        receipts = self.receipts = self.receipts or {}
        note_latest(receipts, room_id, sequence, IN_FLIGHT)

    def take_back_receipt(self, room_id: int) -> None:
        """It was not accepted: what others say is news again."""
        if self.receipts is not None:
            self.receipts.pop(room_id, None)

    def knows_receipt(self, room_id: int, sequence: int) -> bool:
        """Whether it is the one who said so."""
        return self.receipts is not None and self.receipts.get(room_id, 0) >= sequence

    def leave(self, room_id: int, sequence: int) -> None:
        """Its client has the room up to here, or is about to, and its user is not in it any more."""
        note_latest(self.left, room_id, sequence, HELLO_ROOMS)

    def cursor(self, room_id: int, before: int) -> int:
        """How far its client has a room in which its user's membership begins after `before`. What it was
        not shown by this connection is nothing to go on from; what it says that it has is not sent again."""
        return max(self.left.get(room_id, before), self.said.get(room_id, 0))

    def forget(self, room_id: int) -> None:
        """What its client has of the room is not in the log (any more)."""
        self.said.pop(room_id, None)
        self.left.pop(room_id, None)

    def send(self, frame: ServerFrame) -> None:
        """Sends any frame."""
        self.put(server_frames.frame_json(frame) if self.wire is Wire.JSON else frame.SerializeToString())

    def send_gap(self, room_id: int, first: int, head: int, *, reset: bool = False) -> None:
        """Says that events from `first` to `head` do not come; with reset, that none of before holds."""
        gap = Gap(room_id=room_id, from_sequence=first, head_sequence=head, reset=reset)
        self.send(ServerFrame(gap=gap))

    def send_error(self, request_id: int, failure: Failure) -> None:
        """Sends an `error`, the reply to a request or, with id 0, the reason of a close."""
        if self.wire is Wire.JSON:
            self.put(server_frames.error_json(request_id, failure))
        else:
            self.send(ServerFrame(id=request_id, error=server_frames.error_message(failure)))

    def send_sent(self, request_id: int, sent: SendMessageResponse) -> None:
        """Sends the reply to a `send`."""
        if self.wire is Wire.JSON:
            self.put(server_frames.sent_json(request_id, sent))
        else:
            self.put(ServerFrame(id=request_id, sent=sent).SerializeToString())

    def send_result(self, request_id: int, reply: bytes) -> None:
        """Sends the reply to a `call`: JSON text on the JSON wire, else a serialized message."""
        if self.wire is Wire.JSON:
            self.put(server_frames.result_json(request_id, reply))
        else:
            self.put(ServerFrame(id=request_id, result_message=reply).SerializeToString())

    def put(self, payload: bytes) -> None:
        """Sends one encoded frame."""
        self.outbox.put(self, _FRAME[self.wire](payload))

    def has_room(self, size: int) -> bool:
        """Whether a reply of this size may be sent: any small one, and a large one to who takes them."""
        if size <= SMALL_REPLY_BYTES or not (self.slow or self.pending):
            return True
        return self.unsent + self.gathered + size <= REPLIES_BYTES

    @property
    def gathered(self) -> int:
        """Bytes that leave when the tick ends."""
        return sum(map(len, self.pending or ()))

    @property
    @abstractmethod
    def slow(self) -> bool:
        """The peer takes less than it is sent: ephemera are dropped."""

    @property
    @abstractmethod
    def unsent(self) -> int:
        """Bytes that wait to be taken by the peer."""

    def still_takes(self) -> bool:
        """Whether it took anything since this was asked last."""
        before, self.acknowledged = self.acknowledged, self.taken_in_all
        return self.acknowledged != before

    @property
    def taken_in_all(self) -> int:
        """Bytes since the beginning; 0 where nobody counts."""
        return 0

    @property
    def backlog(self) -> int:
        """The same with what the kernel has: whatever is sent now comes after it."""
        return self.unsent

    @property
    @abstractmethod
    def taken(self) -> int:
        """Grows when the peer takes bytes while it is slow."""

    @abstractmethod
    def transmit(self, chunks: list[bytes]) -> None:
        """Writes what a tick gathered, in one go."""

    @abstractmethod
    async def drained(self) -> None:
        """Returns when the peer is not slow any more, or gone."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Handles what was held and reads on, as far as the connection allows."""

    @abstractmethod
    def shut(self, code: CloseCode, reason: str) -> None:
        """Closes the wire after what is pending."""

    @abstractmethod
    def drop_waiting(self) -> None:
        """Forgets what is not sent, but for a frame that was begun and little more: the peer is slow and is
        to be closed. From now on it counts as quick."""

    @abstractmethod
    def abort(self) -> None:
        """Cuts the wire."""


def note_latest(noted: dict[int, int], room_id: int, sequence: int, most: int) -> None:
    """Notes the highest sequence of a room. Of more rooms than `most`, the one that was noted longest ago is
    forgotten."""
    noted[room_id] = max(sequence, noted.pop(room_id, 0))
    if len(noted) > most:
        del noted[next(iter(noted))]


_FRAME = (text_frame, binary_frame, lambda payload: payload)


@dataclass(slots=True)
class Opening:
    """A hello that waits for chat's answer."""

    peer: Peer
    request_id: int
    hello: Hello
