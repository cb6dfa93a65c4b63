"""A door between a client and a TCP server, which a test shuts, opens, or makes swallow the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit


class Door:
    """Passes bytes both ways while it is open."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._open = True
        self._answers = asyncio.Event()
        self._answers.set()
        self._word = b""
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    def shut(self) -> None:
        """Cuts every connection and refuses new ones."""
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    def mute(self, word: bytes = b"") -> None:
        """Requests still arrive, answers are held back, from the first on that has the word in it."""
        self._word = word
        self._answers.clear()

    def open(self) -> None:
        """Everything passes again, what was held back too."""
        self._open = True
        self._answers.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if not self._open:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection(*self._to)
        ends = {writer, there_writer}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, there_writer, None))
                tasks.create_task(self._pass(there_reader, writer, self._answers))
        except* (OSError, _Ended):
            pass  # one end went; the finally block lets go of the other
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event | None
    ) -> None:
        while data := await source.read(65_536):
            if gate is not None and self._word in data:
                await gate.wait()
            sink.write(data)
            await sink.drain()
        raise _Ended


class _Ended(Exception):  # noqa: N818 — not an error
    """One end closed the connection."""


@asynccontextmanager
async def door_to(url: str) -> AsyncIterator[tuple[Door, str]]:
    """A door in front of the server of a URL, and the URL that leads through it."""
    parts = urlsplit(url)
    door = Door(parts.hostname or "127.0.0.1", parts.port or 0)
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    door.port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    through = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{door.port}"))
    try:
        yield door, through
    finally:
        server.close()
        door.shut()
