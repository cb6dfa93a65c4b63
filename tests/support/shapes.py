"""A service with one method of each call shape, behind the guard of every server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from chassis.caller import Caller, current_caller
from chassis.config import ProcessSettings
from chassis.errors import Failure, OutcomeUnknown, RateLimited, TokenInvalid
from chassis.grpc_server import GrpcService, serve_grpc
from chassis.interceptors import Access
from chassis.run import Process
from chassis.status import from_rpc_error

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


def shape_process(folder: Path) -> Process[ProcessSettings]:
    """A process whose credential is CREDENTIAL."""
    secret = folder / "internal"
    secret.write_text(CREDENTIAL)
    settings = ProcessSettings(
        instance="shape-1",
        grpc_port=0,
        consul_addr="http://127.0.0.1:1",
        internal_credential_file=secret,
        drain_seconds=0.2,
    )
    return Process("shape", settings)


@asynccontextmanager
async def serving(
    process: Process[ProcessSettings], access: Access, shapes: Shapes | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server of the shapes, all with the same access."""
    shapes = shapes or Shapes()
    service = GrpcService(DESCRIPTOR, shapes.add, shapes, dict.fromkeys(SHAPES, access))
    async with (
        serve_grpc(process, [service], OneToken()) as server,  # type: ignore[arg-type]
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield channel


async def ask(channel: grpc.aio.Channel, shape: str, text: str, *metadata: tuple[str, str]) -> str:
    """One exchange in the given shape; the answer's text.

    grpc.aio calls it a failure of its own when the peer ends a call just before it sends, and throws
    the peer's status away (about one in a thousand streams that are refused): that one is asked again.
    """
    for _ in range(3):
        try:
            return await _ask(channel, shape, text, *metadata)
        except grpc.aio.AioRpcError as error:
            if error.details() != "Internal error from Core":
                raise
    raise AssertionError("three calls in a row lost their status")


async def _ask(channel: grpc.aio.Channel, shape: str, text: str, *metadata: tuple[str, str]) -> str:
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
