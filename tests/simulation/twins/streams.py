"""gRPC streams in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from tests.simulation.loop import Node
from tests.simulation.network import KEEPALIVE_SECONDS, Network, Pipe, Wire
from tests.simulation.twins.servers import SERVERS, Context, Server, unavailable

WINDOW = 64
"""Messages that a writer may be ahead of the other end."""
END, SAID_ALL = object(), object()


class Stream(Wire):
    """A bidi stream: the client's end is this object, the server's an iterator and `context.write`."""

    def __init__(
        self, network: Network, client: Node, server: Node | None, serialize: Any, parse: Any
    ) -> None:
        self._network = network
        self._client = client
        self._server = server
        self._serialize = serialize
        self._parse = parse
        self._down: deque[Any] = deque()
        self._up: deque[Any] = deque()
        self._moved = asyncio.Event()
        self._arrived = asyncio.Event()
        self._failure: grpc.aio.AioRpcError | None = None
        self._task: asyncio.Task[Any] | None = None
        self._to_server: Pipe
        self._to_client: Pipe

    def begin(self, path: str, metadata: Any) -> None:
        """Connects, soon."""
        server = SERVERS.get(self._server) if self._server is not None else None
        if self._server is None or not self._server.alive or server is None or not server.open:
            self._failure = unavailable()
            return
        self.ends = (self._client, self._server)
        self._to_server = Pipe(self._network, self._client, self._server, self._take_up)
        self._to_client = Pipe(self._network, self._server, self._client, self._take_down)
        self._network.wires[self] = None
        self._server.on_death[self] = self.reset
        self._client.on_death[self] = self.reset
        self._network.later(KEEPALIVE_SECONDS / 3, self._probe)
        self._network.later(self._network.delay(), self._server.call, self._start, server, path, metadata)

    def _start(self, server: Server, path: str, metadata: Any) -> None:
        if self not in self._network.wires:
            return
        if not server.open:
            self._to_client.send(unavailable())
            return
        handler = server.methods[path]
        context = Context(metadata, None)

        async def write(message: Any) -> None:
            await self._to_client.room(WINDOW)
            self._to_client.send(handler.response_serializer(message))

        context.write = write

        async def requests() -> AsyncIterator[Any]:
            while True:
                while not self._up:
                    self._arrived.clear()
                    await self._arrived.wait()
                item = self._up.popleft()
                if item is SAID_ALL:
                    return
                yield handler.request_deserializer(item)

        async def serve() -> None:
            try:
                await handler.stream_stream(requests(), context)
                self._to_client.send(END)
            except grpc.aio.AbortError:
                self._to_client.send(context.failure)

        self._task = server.run(serve())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """A server that ends cancels what still runs, and its connections close."""
        if task.cancelled() and self in self._network.wires:
            self._to_client.send(unavailable())

    def _probe(self) -> None:
        """Keepalive: a wire that is stalled for too long is over on both ends."""
        if self not in self._network.wires:
            return
        now = self._network.loop.time()
        there, back = self.ends
        cut = self._network.blocked(there, back) or self._network.blocked(back, there)
        cut = cut or there.paused or back.paused
        self._cut_since = getattr(self, "_cut_since", now) if cut else now
        if cut and now - self._cut_since >= KEEPALIVE_SECONDS:
            self.reset()
        else:
            self._network.later(KEEPALIVE_SECONDS / 3, self._probe)

    def reset(self) -> None:
        """See Wire."""
        if self not in self._network.wires:
            return
        self._over()
        self._to_server.clear()
        self._to_client.clear()
        self._client.call(self._take_down, unavailable())
        self.ends[1].call(self._end_handler)

    def _over(self) -> None:
        self._network.wires.pop(self, None)
        for node in self.ends:
            node.on_death.pop(self, None)

    def _end_handler(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _take_up(self, item: Any) -> None:
        if item is END:
            self._over()
            self._end_handler()
            return
        self._up.append(item)
        self._arrived.set()

    def _take_down(self, item: Any) -> None:
        self._down.append(item)
        self._moved.set()

    # The client's end ----------------------------------------------------------------------------

    async def write(self, message: Any) -> None:
        """Raises AioRpcError once the stream is over."""
        if self._failure is not None:
            raise self._failure
        await self._to_server.room(WINDOW)
        if self not in self._network.wires:
            raise asyncio.InvalidStateError("the call is over")
        self._to_server.send(self._serialize(message))

    async def done_writing(self) -> None:
        """The server reads to the end of what was written, and may go on answering."""
        self._to_server.send(SAID_ALL)

    async def read(self) -> Any:
        """The next message, EOF, or AioRpcError."""
        if self._failure is not None:
            raise self._failure
        while not self._down:
            self._moved.clear()
            await self._moved.wait()
        item = self._down.popleft()
        if item is END:
            return grpc.aio.EOF
        if isinstance(item, grpc.aio.AioRpcError):
            self._failure = item
            raise item
        return self._parse(item)

    def cancel(self) -> bool:
        """Ends the call; the server's handler is cancelled when it learns of it."""
        if self in self._network.wires:
            self._over()
            self._to_server.send(END)
        return True
