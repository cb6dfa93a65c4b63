"""A server as a whole: its access table, health, reflection; calls that end early leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from chassis.caller import current_caller
from chassis.config import ProcessSettings
from chassis.errors import Code
from chassis.grpc_server import REFLECTION_V1, GrpcService, serve_grpc
from chassis.interceptors import Access
from chassis.run import Process
from tests.support.eventually import eventually
from tests.support.shapes import (
    DESCRIPTOR,
    SERVICE,
    SHAPES,
    Answer,
    Ask,
    OneToken,
    Shapes,
    refused,
    serving,
    shape_process,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def process(tmp_path: Path) -> Process[ProcessSettings]:
    return shape_process(tmp_path)


class Watched(Shapes):
    """Answers without an end or waits for ever; says when that began, was cut, and closed as whom."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cut = asyncio.Event()
        self.closed: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
        self.counted: Callable[[], float] = lambda: 0

    async def act(self, text: str) -> Any:
        if text == "flood":
            return Answer(text="a" * 1024 * 1024)
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cut.set()

    async def unary_stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            yield Answer(text="first")
            while True:
                yield await self.act(request.text)
        finally:
            self.closed.put_nowait((current_caller().user_id, self.counted()))


def handled(process: Process[ProcessSettings], shape: str, code: str) -> float:
    """How many calls were counted with this end."""
    labels = {"method": f"/{SERVICE}/{shape}", "code": code}
    return process.metrics.registry.get_sample_value("polychat_shape_grpc_handled_total", labels) or 0.0


def test_an_access_table_with_a_hole_does_not_start() -> None:
    """A method nobody wrote a rule for stops the process at its start, not at its first call."""
    table = dict.fromkeys(SHAPES[:-1], Access.PUBLIC)
    with pytest.raises(ValueError, match="StreamStream"):
        GrpcService(DESCRIPTOR, lambda *_: None, object(), table).methods()


async def test_health_follows_readiness(process: Process[ProcessSettings]) -> None:
    """SERVING only while every check is fine, also after one broke."""
    answers: list[str | None] = ["the store does not answer"]

    def check() -> str | None:
        if not answers:
            raise ValueError("a bug in the check")
        return answers[0]

    process.readiness.add("store", check)
    async with serving(process, Access.PUBLIC) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=20)

        async def until(status: Any) -> None:
            async for answer in watch:
                if answer.status == status:
                    return

        await until(NOT_SERVING)
        answers[0] = None
        await until(SERVING)
        answers.clear()
        await until(NOT_SERVING)
        answers.append(None)
        await until(SERVING)
        watch.cancel()


@pytest.mark.parametrize("name", ["grpc.reflection.v1alpha.ServerReflection", REFLECTION_V1])
async def test_reflection_names_the_services(process: Process[ProcessSettings], name: str) -> None:
    """Both versions of the reflection protocol answer, so old and new tools work."""
    async with serving(process, Access.PUBLIC) as channel:
        method = channel.stream_stream(
            f"/{name}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = [answer async for answer in method(iter([request]), timeout=10)]
    assert SERVICE in [service.name for service in answers[0].list_services_response.service]


async def test_a_transport_error_is_a_backend_that_does_not_answer() -> None:
    """A refused connection becomes BACKEND_UNAVAILABLE, without the transport's text."""
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        failure = await refused(channel, "UnaryUnary", "hello")
    assert (failure.code, failure.reason) == (Code.UNAVAILABLE, "BACKEND_UNAVAILABLE")
    assert failure.retryable
    assert "127.0.0.1" not in failure.message


async def test_a_slow_handler_is_cut_at_the_callers_deadline(process: Process[ProcessSettings]) -> None:
    """The handler is cancelled when the deadline passes, and nothing goes on behind it."""
    watched = Watched()
    async with serving(process, Access.PUBLIC, watched) as channel:
        method = channel.unary_unary(
            f"/{SERVICE}/UnaryUnary",
            request_serializer=Ask.SerializeToString,
            response_deserializer=Answer.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(Ask(text="x"), timeout=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await asyncio.wait_for(watched.cut.wait(), 5)


@pytest.mark.parametrize("text", ["wait", "flood"])
async def test_a_stream_given_up_is_closed_as_its_caller(
    process: Process[ProcessSettings], text: str
) -> None:
    """At work or held up by a full window: `finally` runs inside of the call and knows who made it."""
    watched = Watched()
    watched.counted = lambda: handled(process, "UnaryStream", "CANCELLED")
    async with serving(process, Access.USER, watched) as channel:
        method = channel.unary_stream(
            f"/{SERVICE}/UnaryStream",
            request_serializer=Ask.SerializeToString,
            response_deserializer=Answer.FromString,
        )
        call = method(Ask(text=text), metadata=(("authorization", "Bearer good"),), timeout=20)
        await call.read()
        if text == "wait":
            await asyncio.wait_for(watched.began.wait(), 5)
        call.cancel()
        assert await asyncio.wait_for(watched.closed.get(), 5) == (7, 0)

        async def counted() -> bool:
            return watched.counted() == 1

        await eventually(counted, what="a cancelled call")


async def test_a_call_in_flight_ends_within_the_drain(process: Process[ProcessSettings]) -> None:
    """Leaving the server waits no longer than the grace, then cuts what is left."""
    watched = Watched()
    service = GrpcService(DESCRIPTOR, watched.add, watched, dict.fromkeys(SHAPES, Access.PUBLIC))
    async with asyncio.timeout(10), AsyncExitStack() as stack:
        async with serve_grpc(process, [service], OneToken()) as server:  # type: ignore[arg-type]
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
            await stack.enter_async_context(channel)
            asking = asyncio.create_task(refused(channel, "UnaryUnary", "wait"))
            await watched.began.wait()
        await watched.cut.wait()
        assert (await asking).retryable
