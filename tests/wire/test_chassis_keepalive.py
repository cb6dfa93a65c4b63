"""The far end of a gRPC connection stands still: TCP takes everything in, and nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest

from chassis.grpc_options import CHANNEL_OPTIONS, SERVER_OPTIONS, Options
from tests.support.door import door_to

METHOD = "/test.Echo/Talk"
FASTER = 20


def faster(options: Options) -> Options:
    """The same with shorter times."""
    times = ("keepalive_time_ms", "keepalive_timeout_ms", "ping_timeout_ms", "data_ms")
    return tuple((name, int(value) // FASTER if name.endswith(times) else value) for name, value in options)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(faster(SERVER_OPTIONS), (), id="the server misses its client"),
        pytest.param((), faster(CHANNEL_OPTIONS), id="the client misses its server"),
    ],
)
async def test_who_does_not_answer_a_ping_is_let_go(ours: Options, theirs: Options) -> None:
    """On both ends of the stream the handler and the call end, though neither side closed anything."""
    ended = asyncio.Event()

    async def talk(requests: AsyncIterator[bytes], context: Any) -> None:
        try:
            async for request in requests:
                await context.write(request)
        finally:
            ended.set()

    async with AsyncExitStack() as stack:
        server = grpc.aio.server(options=ours)
        handlers: dict[str, Any] = {"Talk": grpc.stream_stream_rpc_method_handler(talk)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        door, _ = await stack.enter_async_context(door_to(f"grpc://127.0.0.1:{port}"))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{door.port}", options=theirs)
        call: Any = (await stack.enter_async_context(channel)).stream_stream(METHOD)()
        await call.write(b"are you there?")
        assert await call.read() == b"are you there?"
        door.mute()
        async with asyncio.timeout(10):
            if ours:
                await ended.wait()
            else:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await call.read()
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
