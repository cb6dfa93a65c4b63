"""A circuit breaker for the calls of one service: behind an open one a call fails at once.

closed → open after a run of failures → half open after a pause: one call goes through as a probe →
closed when it succeeds, else open for twice as long. A failure is UNAVAILABLE or DEADLINE_EXCEEDED;
any other answer shows that somebody is there.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
import grpc.aio

from chassis.errors import BackendUnavailable
from chassis.status import STATUS_KEY, to_status
from discovery.backoff import Backoff

FAILURES_TO_OPEN: Final = 8
"""In a row. With two instances behind round robin, one dead one never makes such a run."""
OPEN_FIRST_SECONDS: Final = 0.5
OPEN_MOST_SECONDS: Final = 5.0
"""Healing is due within 30 s of the fault's end, so the pause stays well below."""

FAILURES: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})

Request = TypeVar("Request")
Response = TypeVar("Response")


class State(enum.IntEnum):
    """The values of the `breaker_state` metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """The state machine; no I/O. `changed` is called with every new state."""

    def __init__(
        self,
        clock: Callable[[], float],
        changed: Callable[[State], None] = lambda _state: None,
        backoff: Backoff | None = None,
    ) -> None:
        self.state = State.CLOSED
        self._clock = clock
        self._changed = changed
        self._backoff = backoff or Backoff(OPEN_FIRST_SECONDS, OPEN_MOST_SECONDS)
        self._failures = 0
        self._open_until = 0.0

    def admit(self) -> bool:
        """Whether a call may go out now. True from an open breaker makes that call the probe."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN and self._clock() >= self._open_until:
            self._enter(State.HALF_OPEN)
            return True
        return False

    def succeeded(self) -> None:
        """A call was answered."""
        self._failures = 0
        self._backoff.reset()
        self._enter(State.CLOSED)

    def failed(self) -> None:
        """A call was not answered. Those that went out before it opened change nothing."""
        self._failures += 1
        probe = self.state is State.HALF_OPEN
        if probe or (self.state is State.CLOSED and self._failures >= FAILURES_TO_OPEN):
            self._open_until = self._clock() + self._backoff.next()
            self._enter(State.OPEN)

    def abandoned(self) -> None:
        """A call was given up by its caller: nothing was learned. A probe's place goes to the next call."""
        if self.state is State.HALF_OPEN:
            self._open_until = self._clock()
            self._enter(State.OPEN)

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._changed(state)


def unavailable(service: str) -> grpc.aio.AioRpcError:
    """What a call fails with when it is not even sent: the status of BackendUnavailable(service)."""
    failure = BackendUnavailable(service)
    trailing = grpc.aio.Metadata((STATUS_KEY, to_status(failure).SerializeToString()))
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailing, details=failure.message
    )


class BreakerInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Puts a breaker before every unary call of a channel."""

    def __init__(self, service: str, breaker: Breaker) -> None:
        self._service = service
        self._breaker = breaker

    async def intercept_unary_unary(
        self,
        continuation: Callable[
            [grpc.aio.ClientCallDetails, Request],
            Awaitable[grpc.aio.UnaryUnaryCall[Request, Response]],
        ],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Request,
    ) -> grpc.aio.UnaryUnaryCall[Request, Response]:
        """Sends the call, or raises AioRpcError UNAVAILABLE at once when the breaker is open."""
        if not self._breaker.admit():
            raise unavailable(self._service)
        call = await continuation(client_call_details, request)
        try:
            code = await call.code()
        except asyncio.CancelledError:
            call.cancel()
            self._breaker.abandoned()
            raise
        self._learn(code)
        return call

    def _learn(self, code: grpc.StatusCode) -> None:
        if code in FAILURES:
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
