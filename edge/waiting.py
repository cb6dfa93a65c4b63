"""What a slow WebSocket's transport was not given yet: an asyncio transport gives nothing back, this does."""

from __future__ import annotations

import asyncio
from collections import deque


class Waiting:
    """Whole frames in their order, so that the stream may end after any of them."""

    __slots__ = ("_frames", "size")

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self.size = 0
        """Bytes."""

    def put(self, frames: bytes) -> None:
        """Adds frames at the end."""
        self._frames.append(frames)
        self.size += len(frames)

    def feed(self, transport: asyncio.Transport, enough: float) -> None:
        """Gives the transport more for as long as it has no more than `enough` bytes unsent."""
        while self._frames and transport.get_write_buffer_size() <= enough and not transport.is_closing():
            frames = self._frames.popleft()
            self.size -= len(frames)
            transport.write(frames)
