"""A committed event as the edge keeps it: still encoded, and encoded at most once for each wire."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from edge.protocol.framing import binary_frame, text_frame
from edge.protocol.limits import EVENT_BYTES
from edge.protocol.server_frames import event_binary, event_json


class Wire(enum.IntEnum):
    """How frames travel to a peer."""

    JSON = 0
    """WebSocket, `polychat.v1.json`: text messages."""
    BINARY = 1
    """WebSocket, `polychat.v1.proto`: binary messages."""
    STREAM = 2
    """`EdgeService.Session`: serialized frames, one by one."""


_ENCODE: tuple[Callable[[bytes], bytes], ...] = (
    lambda event: text_frame(event_json(event)),
    lambda event: binary_frame(event_binary(event)),
    event_binary,
)


class Event:
    """One event of a room: its place, who comes and goes with it, and its frames."""

    __slots__ = ("_frames", "_serialized", "joined", "left", "room_id", "sequence")

    def __init__(
        self,
        room_id: int,
        sequence: int,
        serialized: bytes,
        joined: Sequence[int] = (),
        left: Sequence[int] = (),
    ) -> None:
        self.room_id = room_id
        self.sequence = sequence
        self.joined = tuple(joined)
        self.left = tuple(left)
        self._serialized = serialized
        self._frames: list[bytes | None] = [None, None, None]

    @property
    def size(self) -> int:
        """What it holds, about, while no wire has encoded it."""
        return len(self._serialized) + EVENT_BYTES

    def frame(self, wire: Wire) -> bytes:
        """The bytes of its `event` frame; the same object every time."""
        frame = self._frames[wire]
        if frame is None:
            frame = self._frames[wire] = _ENCODE[wire](self._serialized)
        return frame
