"""What happens around every unary call of a service: its deadline, and the breaker before it.

The deadline comes from `service_config.json`, but is set here and not by the library: the core
(1.85) ends a call one to two seconds before a timeout of its service config, since it counts from a
start that it rounds down, and it does not tell the server the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
import grpc.aio

from chassis.errors import BackendUnavailable
from chassis.status import STATUS_KEY, to_status
from discovery.breaker import Breaker
from discovery.service_config import timeout_of

FAILURES: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
"""For the breaker, unless our own status comes with them; any other answer shows that somebody is there.

A service that answers BACKEND_UNAVAILABLE lacks something for one method. Were that a failure, whoever calls
this method again and again would close the way to all the others.
"""

Request = TypeVar("Request")
Response = TypeVar("Response")
Continuation = Callable[
    [grpc.aio.ClientCallDetails, Request], Awaitable[grpc.aio.UnaryUnaryCall[Request, Response]]
]


def unavailable(service: str) -> grpc.aio.AioRpcError:
    """What a call fails with when it is not even sent: the status of BackendUnavailable(service)."""
    failure = BackendUnavailable(service)
    trailing = grpc.aio.Metadata((STATUS_KEY, to_status(failure).SerializeToString()))
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailing, details=failure.message
    )


class CallInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Gives every unary call of a channel its deadline, and puts a breaker before it."""

    def __init__(self, service: str, breaker: Breaker) -> None:
        self._service = service
        self._breaker = breaker

    async def intercept_unary_unary(
        self,
        continuation: Continuation[Request, Response],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Request,
    ) -> grpc.aio.UnaryUnaryCall[Request, Response]:
        """Sends the call, or raises AioRpcError UNAVAILABLE at once when the breaker is open."""
        if not self._breaker.admit():
            raise unavailable(self._service)
        try:
            call = await continuation(_with_deadline(client_call_details), request)
            code = await _code(call)
            answered = STATUS_KEY in dict(await call.trailing_metadata() or ())
        except BaseException:
            # Cancelled, or the channel was closed: without a word of it a probe's place would never be free.
            self._breaker.abandoned()
            raise
        self._learn(code, answered=answered)
        return call

    def _learn(self, code: grpc.StatusCode, *, answered: bool) -> None:
        if code in FAILURES and not answered:
            self._breaker.failed()
        elif code is grpc.StatusCode.CANCELLED:
            self._breaker.abandoned()
        else:
            self._breaker.succeeded()


class Refuse(grpc.aio.UnaryUnaryClientInterceptor):
    """Fails every unary call at once: the channel of a service that was never seen."""

    def __init__(self, service: str) -> None:
        self._service = service

    async def intercept_unary_unary(self, *_call: Any) -> Any:
        """Raises AioRpcError UNAVAILABLE."""
        raise unavailable(self._service)


async def _code(call: grpc.aio.UnaryUnaryCall[Request, Response]) -> grpc.StatusCode:
    try:
        return await call.code()
    except asyncio.CancelledError:
        call.cancel()
        raise


def _with_deadline(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    if details.timeout is not None:
        return details
    return grpc.aio.ClientCallDetails(
        details.method,
        timeout_of(details.method),
        details.metadata,
        details.credentials,
        details.wait_for_ready,
    )
