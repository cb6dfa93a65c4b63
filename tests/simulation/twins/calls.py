"""gRPC channels in memory: unary calls and streams whose messages are really serialized."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from tests.simulation.faults import Faults
from tests.simulation.loop import Node
from tests.simulation.network import Network, Pipe
from tests.simulation.twins.servers import SERVERS, broken, serve_unary, unavailable
from tests.simulation.twins.streams import Stream

DEADLINE_SECONDS = 5.0


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
            lambda data: server.run(serve_unary(server, path, data, metadata, seconds, back)),
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
