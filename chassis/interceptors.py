"""What happens around every call a server takes, the same for all four call shapes.

In this order: metadata cap, counting, errors into statuses, a deadline, who is calling and may they,
the shape of the request. Handlers raise `Failure` and know none of it.
"""

from __future__ import annotations

import asyncio
import enum
import hmac
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_status import rpc_status

from chassis import logs
from chassis.caller import AUTHORIZATION, INTERNAL_CREDENTIAL, set_caller
from chassis.errors import (
    Code,
    Failure,
    InternalCallerRequired,
    OutcomeUnknown,
    Overloaded,
    TokenInvalid,
    TokenMissing,
    Unimplemented,
)
from chassis.status import to_status
from chassis.telemetry import Metrics
from chassis.tokens import TokenVerifier
from chassis.validation import validate

MAX_METADATA_BYTES = 16 * 1024
"""A peer that ignores HTTP/2 SETTINGS gets larger headers through, so they are summed again here."""
NO_RETRY = (("grpc-retry-pushback-ms", "-1"),)
"""Tells a client's retry policy to leave it (gRFC A6): nobody has time to wait for an outcome twice."""
MAX_UNARY_SECONDS = 30.0
"""For callers that set no deadline."""

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Context = grpc.aio.ServicerContext
    Handler = grpc.RpcMethodHandler


class Access(enum.Enum):
    """Who may call a method."""

    PUBLIC = "anyone"
    USER = "a user with a valid access token"
    INTERNAL = "a process of the system"


class DeadlineExceeded(Failure):
    """The work did not end within the deadline; whether it took effect is not known."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"
    text = "the deadline passed before there was an answer"


class InternalError(Failure):
    """A bug; its text stays in our logs, under this trace id."""

    text = "an internal error; trace id {traceId}"


class Guard(grpc.aio.ServerInterceptor):
    """The one interceptor of a server. `access` names every method that may be reached, exactly."""

    def __init__(
        self, metrics: Metrics, access: Mapping[str, Access], verifier: TokenVerifier, credential: str
    ) -> None:
        self._access = access
        self._verifier = verifier
        self._credential = credential.encode()
        self._log = logs.get("grpc")
        self._handled = metrics.counter("grpc_handled", "calls answered", ["method", "code"])
        self._seconds = metrics.histogram("grpc_seconds", "time to answer a unary call", ["method"])

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the handler of a method; an unlisted one is answered UNIMPLEMENTED by the library."""
        handler = await continuation(handler_call_details)
        access = self._access.get(handler_call_details.method)
        if handler is None or access is None:
            return handler
        return self._wrap(handler_call_details.method, access, handler)

    def _wrap(self, method: str, access: Access, handler: Handler) -> Handler:
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        sides = [
            "stream" if streaming else "unary"
            for streaming in (handler.request_streaming, handler.response_streaming)
        ]
        shape = "_".join(sides)
        if inspect.isasyncgenfunction(inner):
            wrapped = self._streaming(method, access, inner)
        else:
            wrapped = self._single(method, access, inner, bounded=shape == "unary_unary")
        make = getattr(grpc, f"{shape}_rpc_method_handler")
        return make(wrapped, handler.request_deserializer, handler.response_serializer)  # type: ignore[no-any-return]

    def _single(self, method: str, access: Access, inner: Any, *, bounded: bool) -> Any:
        async def call(request: Any, context: Context) -> Any:
            async with self._scope(method, access, context, bounded=bounded):
                result = inner(_checked(request, access), context)
                return await result if inspect.isawaitable(result) else result

        return call

    def _streaming(self, method: str, access: Access, inner: Any) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            # Closed here and now: left to the collector, a `finally` would run at any time, as anybody.
            async with (
                self._scope(method, access, context, bounded=False),
                aclosing(inner(_checked(request, access), context)) as responses,
            ):
                async for response in responses:
                    yield response

        return call

    @asynccontextmanager
    async def _scope(
        self, method: str, access: Access, context: Context, *, bounded: bool
    ) -> AsyncIterator[None]:
        started = time.perf_counter()
        code = "OK"
        try:
            async with asyncio.timeout(_seconds_left(context) if bounded else None):
                await self._identify(access, context)
                yield
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = "ABORTED"
            raise
        except Exception as error:  # noqa: BLE001 — the one place where an exception becomes a status
            failure = self._failure(method, error)
            code = str(failure.code)
            status = rpc_status.to_status(to_status(failure))
            told = NO_RETRY if isinstance(failure, OutcomeUnknown) else ()
            await context.abort(status.code, status.details, (*status.trailing_metadata, *told))
        finally:
            self._handled.labels(method, code).inc()
            if bounded:
                self._seconds.labels(method).observe(time.perf_counter() - started)

    async def _identify(self, access: Access, context: Context) -> None:
        metadata = context.invocation_metadata() or ()
        if sum(len(key) + len(value) for key, value in metadata) > MAX_METADATA_BYTES:
            raise Overloaded("the request's metadata is too large")
        values = dict(metadata)
        set_caller(None)
        if access is Access.INTERNAL:
            shown = str(values.get(INTERNAL_CREDENTIAL, "")).encode()
            if not hmac.compare_digest(shown, self._credential):
                raise InternalCallerRequired
        elif access is Access.USER:
            set_caller(await self._verifier.verify(bearer(str(values.get(AUTHORIZATION, "")))))

    def _failure(self, method: str, error: Exception) -> Failure:
        if isinstance(error, Failure):
            return error
        if isinstance(error, TimeoutError):
            return DeadlineExceeded()
        if isinstance(error, NotImplementedError):
            return Unimplemented()
        trace_id = secrets.token_hex(8)
        self._log.error("call_failed", method=method, trace_id=trace_id, exc_info=error)
        return InternalError(traceId=trace_id)


def bearer(authorization: str) -> str:
    """The token of an `authorization` header (RFC 6750 §2.1). Raises TokenMissing, TokenInvalid."""
    if not authorization:
        raise TokenMissing
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenInvalid("the authorization header is not of the form: Bearer <token>")
    return token


def _seconds_left(context: Context) -> float:
    remaining = context.time_remaining()
    return MAX_UNARY_SECONDS if remaining is None else min(remaining, MAX_UNARY_SECONDS)


def _checked(request: Any, access: Access) -> Any:
    if isinstance(request, Message):
        validate(request)
        return request
    if isinstance(request, bytes):
        # The edge passes requests on unread; the service that has the method checks them.
        return request
    if access is Access.INTERNAL:
        # Such a stream carries the requests of many users. The service checks each where it takes it out:
        # a bad one is answered, and does not end the stream of all the others.
        return request
    return _checked_stream(request)


async def _checked_stream(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        if isinstance(request, Message):
            validate(request)
        yield request
