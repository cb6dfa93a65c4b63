"""gRPC in memory: unary calls and streams whose messages are really serialized, through the real Guard."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from chassis.grpc_server import GrpcService
from chassis.interceptors import Guard
from tests.simulation.faults import Faults
from tests.simulation.loop import Node, current_node
from tests.simulation.network import KEEPALIVE_SECONDS, Network, Pipe, Wire

DEADLINE_SECONDS = 5.0
WINDOW = 64
"""Messages that a writer may be ahead of the other end."""
END = object()


def broken(code: grpc.StatusCode, text: str = "", trailing: Sequence[Any] = ()) -> grpc.aio.AioRpcError:
    """What a call fails with."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=text)


def unavailable() -> grpc.aio.AioRpcError:
    """The connection broke."""
    return broken(grpc.StatusCode.UNAVAILABLE, "the connection broke")


class Server:
    """The methods that a process serves."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.methods: dict[str, Any] = {}
        self.running: dict[asyncio.Task[Any], None] = {}
        self.open = True

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """The generated code says the same twice; the other one is used."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """See grpc.aio.Server."""
        self.methods |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def run(self, work: Any) -> asyncio.Task[Any]:
        """Runs a handler in the process."""
        task = self.node.start(work)
        self.running[task] = None
        task.add_done_callback(lambda done: self.running.pop(done, None))
        return task


SERVERS: dict[Node, Server] = {}


@asynccontextmanager
async def serve_grpc(
    process: Any, services: Sequence[GrpcService], verifier: Any, *, share_port: bool = False
) -> AsyncIterator[Any]:
    """chassis.grpc_server.serve_grpc."""
    server: Any = Server(current_node())
    access = {path: rule for service in services for path, rule in service.methods().items()}
    for service in services:
        service.add(service.servicer, server)
    guard = Guard(process.metrics, access, verifier, process.settings.internal_credential)
    for path, handler in server.methods.items():
        server.methods[path] = guard._wrap(path, access[path], handler)
    SERVERS[server.node] = server
    server.port = server.node.number
    try:
        yield server
    finally:
        server.open = False
        if server.running:
            await asyncio.wait(list(server.running), timeout=process.settings.drain_seconds)
        for task in list(server.running):
            task.cancel()
        if server.running:
            await asyncio.wait(list(server.running))


class Context:
    """Of a servicer's context what is used."""

    def __init__(self, metadata: Any, seconds: float | None) -> None:
        self._metadata = tuple(metadata or ())
        self._seconds = seconds
        self.failure: grpc.aio.AioRpcError | None = None
        self.write: Any = None

    def invocation_metadata(self) -> Any:
        """See grpc."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """See grpc."""
        return self._seconds

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing: Any = ()) -> None:
        """See grpc."""
        self.failure = broken(code, details, trailing)
        raise grpc.aio.AbortError


class Channel:
    """A channel of a process; `pick` says which process a call goes to."""

    def __init__(self, network: Network, faults: Faults, node: Node, pick: Callable[[], Node | None]) -> None:
        self._network = network
        self._faults = faults
        self._node = node
        self._pick = pick
        self._streams: list[Stream] = []

    async def close(self, _grace: float | None = None) -> None:
        """Ends its streams."""
        for stream in self._streams:
            stream.cancel()

    def unary_unary(self, path: str, serialize: Any = None, parse: Any = None, **options: Any) -> Any:
        """See grpc."""
        serialize = options.get("request_serializer", serialize) or bytes
        parse = options.get("response_deserializer", parse) or bytes

        async def call(request: Any, *, metadata: Any = (), timeout: float | None = None) -> Any:
            seconds = DEADLINE_SECONDS if timeout is None else timeout
            try:
                async with asyncio.timeout(seconds):
                    return parse(await self._unary(path, serialize(request), metadata, seconds))
            except TimeoutError:
                raise broken(grpc.StatusCode.DEADLINE_EXCEEDED) from None

        return call

    async def _unary(self, path: str, request: bytes, metadata: Any, seconds: float) -> bytes:
        target = self._pick()
        server = SERVERS.get(target) if target is not None else None
        lost = self._faults.strikes("request_lost")
        if target is None or server is None or not server.open or lost:
            await asyncio.sleep(self._network.delay())
            raise unavailable()
        answer = asyncio.get_running_loop().create_future()

        def fail(error: Exception) -> None:
            if not answer.done():
                answer.set_exception(error)

        target.on_death[answer] = lambda: self._node.call(fail, unavailable())
        back = Pipe(self._network, target, self._node, lambda end: _settle(answer, end))
        there = Pipe(
            self._network,
            self._node,
            target,
            lambda data: server.run(_serve(server, path, data, metadata, seconds, back)),
        )
        there.send(request)
        try:
            reply: bytes = await answer
        finally:
            target.on_death.pop(answer, None)
        if self._faults.strikes("reply_lost"):
            raise unavailable()
        return reply

    def stream_stream(self, path: str, serialize: Any = None, parse: Any = None, **options: Any) -> Any:
        """See grpc."""
        serialize = options.get("request_serializer", serialize)
        parse = options.get("response_deserializer", parse)

        def call(*, metadata: Any = ()) -> Stream:
            stream = Stream(self._network, self._node, self._pick(), serialize, parse)
            self._streams.append(stream)
            stream.begin(path, metadata)
            return stream

        return call

    def unary_stream(self, *_arguments: Any, **_options: Any) -> Any:
        """Nobody uses it."""

    def stream_unary(self, *_arguments: Any, **_options: Any) -> Any:
        """Nobody uses it."""


def _settle(answer: asyncio.Future[Any], end: Any) -> None:
    if answer.done():
        return
    if isinstance(end, Exception):
        answer.set_exception(end)
    else:
        answer.set_result(end)


async def _serve(server: Server, path: str, data: bytes, metadata: Any, seconds: float, back: Pipe) -> None:
    handler = server.methods.get(path)
    if handler is None:
        back.send(broken(grpc.StatusCode.UNIMPLEMENTED))
        return
    context = Context(metadata, seconds)
    try:
        reply = await handler.unary_unary(handler.request_deserializer(data), context)
        back.send(handler.response_serializer(reply))
    except grpc.aio.AbortError:
        back.send(context.failure)


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
                yield handler.request_deserializer(self._up.popleft())

        async def serve() -> None:
            try:
                await handler.stream_stream(requests(), context)
                self._to_client.send(END)
            except grpc.aio.AbortError:
                self._to_client.send(context.failure)

        self._task = server.run(serve())

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
