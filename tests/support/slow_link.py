"""A TCP relay that takes from the far side at so many bytes a second, with little room of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNKS_A_SECOND = 4
ROOM_BYTES = 4096
"""The receive buffer: what waits beyond it waits at the far side."""
SEGMENT_BYTES = 1000
"""Packets as on a network: of 64 KiB, as on loopback, none fits into the room."""


class SlowLink:
    """One relayed connection after the other, from `address` to the target."""

    def __init__(self, target: tuple[str, int], rate: int, listener: socket.socket) -> None:
        self.address: tuple[str, int] = listener.getsockname()
        self._target = target
        self._rate = rate
        self._listener = listener
        self._released = asyncio.Event()

    def release(self) -> None:
        """From now on as fast as it goes."""
        self._released.set()

    async def run(self) -> None:
        """Relays until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as relays:
            while True:
                near, _ = await loop.sock_accept(self._listener)
                relays.create_task(self._relay(near))

    async def _relay(self, near: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM_BYTES)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        near.setblocking(False)
        far.setblocking(False)
        with near, far, contextlib.suppress(OSError):
            await loop.sock_connect(far, self._target)
            up = asyncio.create_task(self._up(near, far))
            try:
                await self._down(far, near)
            finally:
                up.cancel()
                await asyncio.wait([up])

    async def _up(self, near: socket.socket, far: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(near, ROOM_BYTES):
            await loop.sock_sendall(far, data)

    async def _down(self, far: socket.socket, near: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(far, self._rate // CHUNKS_A_SECOND):
            await loop.sock_sendall(near, data)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), len(data) / self._rate)


@asynccontextmanager
async def slow_link(target: tuple[str, int], rate: int) -> AsyncIterator[SlowLink]:
    """Runs until the block ends; `rate` in bytes a second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        link = SlowLink(target, rate, listener)
        running = asyncio.create_task(link.run())
        try:
            yield link
        finally:
            running.cancel()
            await asyncio.wait([running])
