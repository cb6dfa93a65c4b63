"""What every server does around every call, in all four call shapes, on a real grpc.aio server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from chassis.caller import Caller, current_caller
from chassis.config import ProcessSettings
from chassis.errors import BackendUnavailable, Code, Failure, OutcomeUnknown, RateLimited, TokenInvalid
from chassis.grpc_server import REFLECTION_V1, GrpcService, serve_grpc
from chassis.interceptors import Access
from chassis.run import Process
from chassis.status import STATUS_KEY, from_rpc_error, from_status

SHAPES = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
SERVICE = "polychat.test.v1.ShapeService"
CREDENTIAL = "internal-secret-of-this-test"


def _descriptor() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="shapes.proto", package="polychat.test.v1", syntax="proto3"
    )
    for name in ("Ask", "Answer"):
        file.message_type.add(name=name).field.add(name="text", number=1, type=9, label=1)
    service = file.service.add(name="ShapeService")
    for shape in SHAPES:
        service.method.add(
            name=shape,
            input_type=".polychat.test.v1.Ask",
            output_type=".polychat.test.v1.Answer",
            client_streaming=shape.startswith("Stream"),
            server_streaming=shape.endswith("Stream"),
        )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return pool.FindServiceByName(SERVICE)


DESCRIPTOR = _descriptor()
Ask: Any = message_factory.GetMessageClass(DESCRIPTOR.file.message_types_by_name["Ask"])
Answer: Any = message_factory.GetMessageClass(DESCRIPTOR.file.message_types_by_name["Answer"])


class Shapes:
    """Answers with what `act` makes of the text, in every shape."""

    async def act(self, text: str) -> Any:
        if text == "limited":
            raise RateLimited(retry_after=1.5)
        if text == "bug":
            raise ValueError("SELECT secret FROM inner_table")
        if text == "unknown":
            raise OutcomeUnknown
        if text == "unbuilt":
            raise NotImplementedError
        if text == "who":
            return Answer(text=str(current_caller().user_id))
        return Answer(text=text)

    async def unary_unary(self, request: Any, _context: Any) -> Any:
        return await self.act(request.text)

    async def unary_stream(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        yield await self.act(request.text)

    async def stream_unary(self, requests: AsyncIterator[Any], _context: Any) -> Any:
        async for request in requests:
            answer = await self.act(request.text)
        return answer

    async def stream_stream(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield await self.act(request.text)

    def add(self, _servicer: object, server: grpc.aio.Server) -> None:
        handlers = {}
        for shape, function in zip(
            SHAPES, (self.unary_unary, self.unary_stream, self.stream_unary, self.stream_stream), strict=True
        ):
            left, right = (
                ("stream" if shape.startswith("Stream") else "unary"),
                ("stream" if shape.endswith("Stream") else "unary"),
            )
            make = getattr(grpc, f"{left}_{right}_rpc_method_handler")
            handlers[shape] = make(function, Ask.FromString, Answer.SerializeToString)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


class OneToken:
    """Knows one token."""

    async def verify(self, token: str) -> Caller:
        if token != "good":
            raise TokenInvalid
        return Caller(7, 8, token, 0.0)


@pytest.fixture
def process(tmp_path: Path) -> Process[ProcessSettings]:
    secret = tmp_path / "internal"
    secret.write_text(CREDENTIAL)
    settings = ProcessSettings(
        instance="shape-1",
        grpc_port=0,
        consul_addr="http://127.0.0.1:1",
        internal_credential_file=secret,
        drain_seconds=0.2,
    )
    return Process("shape", settings)


async def serve(process: Process[ProcessSettings], access: Access) -> AsyncIterator[grpc.aio.Channel]:
    shapes = Shapes()
    service = GrpcService(DESCRIPTOR, shapes.add, shapes, dict.fromkeys(SHAPES, access))
    async with (
        serve_grpc(process, [service], OneToken()) as server,  # type: ignore[arg-type]
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield channel


@pytest.fixture
async def public(process: Process[ProcessSettings]) -> AsyncIterator[grpc.aio.Channel]:
    async for channel in serve(process, Access.PUBLIC):
        yield channel


@pytest.fixture
async def private(process: Process[ProcessSettings]) -> AsyncIterator[grpc.aio.Channel]:
    async for channel in serve(process, Access.USER):
        yield channel


@pytest.fixture
async def inner(process: Process[ProcessSettings]) -> AsyncIterator[grpc.aio.Channel]:
    async for channel in serve(process, Access.INTERNAL):
        yield channel


async def ask(channel: grpc.aio.Channel, shape: str, text: str, *metadata: tuple[str, str]) -> str:
    """One exchange in the given shape; the answer's text."""
    left = "stream" if shape.startswith("Stream") else "unary"
    right = "stream" if shape.endswith("Stream") else "unary"
    method = getattr(channel, f"{left}_{right}")(
        f"/{SERVICE}/{shape}",
        request_serializer=Ask.SerializeToString,
        response_deserializer=Answer.FromString,
    )
    request = Ask(text=text)
    call = method(iter([request]) if left == "stream" else request, metadata=metadata, timeout=10)
    if right == "stream":
        return "".join([answer.text async for answer in call])
    return str((await call).text)


async def refused(channel: grpc.aio.Channel, shape: str, text: str, *metadata: tuple[str, str]) -> Failure:
    """The failure of one exchange."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(channel, shape, text, *metadata)
    return from_rpc_error(caught.value)


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_passes(public: grpc.aio.Channel, shape: str) -> None:
    """Every call shape reaches its handler and comes back."""
    assert await ask(public, shape, "hello") == "hello"


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_failure_carries_one_reason(public: grpc.aio.Channel, shape: str) -> None:
    """A Failure becomes a status with exactly one ErrorInfo of our domain, and its RetryInfo."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(public, shape, "limited")
    raw = dict(caught.value.trailing_metadata() or ())[STATUS_KEY]
    status = status_pb2.Status.FromString(raw if isinstance(raw, bytes) else raw.encode())
    assert [d.type_url.rpartition(".")[2] for d in status.details] == ["ErrorInfo", "RetryInfo"]
    failure = from_status(status)
    assert (failure.code, failure.reason, failure.retry_after) == (
        Code.RESOURCE_EXHAUSTED,
        "RATE_LIMITED",
        1.5,
    )


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_bug_tells_nothing_but_a_trace_id(public: grpc.aio.Channel, shape: str) -> None:
    """An unknown exception is INTERNAL; its text stays inside."""
    failure = await refused(public, shape, "bug")
    assert (failure.code, failure.reason) == (Code.INTERNAL, "INTERNAL")
    assert "SELECT" not in failure.message
    assert len(failure.metadata["traceId"]) == 16


async def test_an_unknown_outcome_is_not_retried_behind_the_callers_back(public: grpc.aio.Channel) -> None:
    """It took as long as there is: a retry policy would turn it into a deadline without a reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(public, "UnaryUnary", "unknown")
    assert from_rpc_error(caught.value).reason == "OUTCOME_UNKNOWN"
    assert dict(caught.value.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "-1"


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_unbuilt_method_says_so(public: grpc.aio.Channel, shape: str) -> None:
    """UNIMPLEMENTED with a reason, as a client of a later contract must be told."""
    failure = await refused(public, shape, "unbuilt")
    assert (failure.code, failure.reason) == (Code.UNIMPLEMENTED, "UNIMPLEMENTED")


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_caller_is_who_the_token_says(private: grpc.aio.Channel, shape: str) -> None:
    """Identity comes from the token, in every shape, and from nothing else."""
    forged = ("x-user-id", "99")
    assert await ask(private, shape, "who", ("authorization", "Bearer good"), forged) == "7"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("x-user-id", "7"),), "TOKEN_MISSING"),
        ((("authorization", "Bearer bad"),), "TOKEN_INVALID"),
        ((("authorization", "Basic good"),), "TOKEN_INVALID"),
        ((("authorization", "Bearer "),), "TOKEN_INVALID"),
        ((("x-polychat-internal", CREDENTIAL),), "TOKEN_MISSING"),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_without_a_good_token_nobody_enters(
    private: grpc.aio.Channel, shape: str, header: tuple[tuple[str, str], ...], reason: str
) -> None:
    """A method for users refuses everything that is not a valid access token."""
    failure = await refused(private, shape, "hello", *header)
    assert (failure.code, failure.reason) == (Code.UNAUTHENTICATED, reason)


@pytest.mark.parametrize(
    "header", [(), (("x-polychat-internal", "guess"),), (("authorization", "Bearer good"),)]
)
async def test_internal_methods_refuse_outsiders(
    inner: grpc.aio.Channel, header: tuple[tuple[str, str], ...]
) -> None:
    """Only the internal credential opens an internal method; a user's token does not."""
    failure = await refused(inner, "UnaryUnary", "hello", *header)
    assert (failure.code, failure.reason) == (Code.PERMISSION_DENIED, "INTERNAL_CALLER_REQUIRED")
    assert await ask(inner, "UnaryUnary", "hello", ("x-polychat-internal", CREDENTIAL)) == "hello"


async def test_oversized_metadata_is_refused(public: grpc.aio.Channel) -> None:
    """17 KiB of headers do not reach a handler, whatever the transport let through."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(public, "UnaryUnary", "hello", ("x-junk", "a" * 17 * 1024))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_access_table_with_a_hole_does_not_start() -> None:
    """A method nobody wrote a rule for stops the process at its start, not at its first call."""
    table = dict.fromkeys(SHAPES[:-1], Access.PUBLIC)
    with pytest.raises(ValueError, match="StreamStream"):
        GrpcService(DESCRIPTOR, lambda *_: None, object(), table).methods()


async def test_health_follows_readiness(process: Process[ProcessSettings]) -> None:
    """SERVING only while every check is fine."""
    missing: list[str] = ["the store does not answer"]
    process.readiness.add("store", lambda: missing[0] if missing else None)
    async for channel in serve(process, Access.PUBLIC):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=20)
        seen = []
        async for answer in watch:
            seen.append(answer.status)
            if answer.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                missing.clear()
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                break
        watch.cancel()
        assert seen[-2:] == [
            health_pb2.HealthCheckResponse.NOT_SERVING,
            health_pb2.HealthCheckResponse.SERVING,
        ]


@pytest.mark.parametrize("name", ["grpc.reflection.v1alpha.ServerReflection", REFLECTION_V1])
async def test_reflection_names_the_services(public: grpc.aio.Channel, name: str) -> None:
    """Both versions of the reflection protocol answer, so old and new tools work."""
    method = public.stream_stream(
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
    cancelled = asyncio.Event()

    class Slow(Shapes):
        async def act(self, _text: str) -> Any:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    slow = Slow()
    service = GrpcService(DESCRIPTOR, slow.add, slow, dict.fromkeys(SHAPES, Access.PUBLIC))
    async with (
        serve_grpc(process, [service], OneToken()) as server,  # type: ignore[arg-type]
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        method = channel.unary_unary(
            f"/{SERVICE}/UnaryUnary",
            request_serializer=Ask.SerializeToString,
            response_deserializer=Answer.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(Ask(text="x"), timeout=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(cancelled.wait(), 5)


def test_statuses_survive_both_ways() -> None:
    """What a service raised is what its caller gets: code, reason, metadata and the wait."""
    from chassis.status import to_status

    back = from_status(to_status(BackendUnavailable("kafka")))
    assert (back.code, back.reason, back.metadata, back.retry_after) == (
        Code.UNAVAILABLE,
        "BACKEND_UNAVAILABLE",
        {"backend": "kafka"},
        1.0,
    )
