"""What a call teaches the breaker, whatever becomes of the call."""

from __future__ import annotations

from typing import Any

import grpc.aio
import pytest

from discovery.breaker import FAILURES_TO_OPEN, Breaker
from discovery.calls import CallInterceptor

DETAILS = grpc.aio.ClientCallDetails("/polychat.user.v1.UserService/GetUser", None, None, None, None)


async def test_a_probe_that_was_never_sent_gives_its_place_to_the_next() -> None:
    """Its channel was closed meanwhile: else every later call would be refused, for ever."""
    breaker = Breaker(lambda: now)
    now = 0.0
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed()
    now = 10.0

    async def closed(*_call: object) -> Any:
        raise RuntimeError("channel is closed")

    with pytest.raises(RuntimeError):
        await CallInterceptor("user", breaker).intercept_unary_unary(closed, DETAILS, b"")
    assert breaker.admit()
