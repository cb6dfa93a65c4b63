"""A single call of another service: its deadline, its retries, the breaker in front of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_status import rpc_status

from chassis.errors import BackendUnavailable
from chassis.status import to_status
from discovery import Discovery
from discovery.breaker import FAILURES_TO_OPEN
from tests.support.consul import ConsulAgent, own_consul
from tests.support.discovery_clients import Client, ask, caller, registered, seen_by
from tests.support.eventually import eventually
from tests.support.instances import users


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[ConsulAgent]:
    async with own_consul(tmp_path) as agent:
        await agent.start()
        yield agent


async def test_an_unanswered_call_ends_at_the_deadline_of_the_service_config(consul: ConsulAgent) -> None:
    async with users("user-1") as servers, registered(consul, *servers), caller(consul) as both:
        _discovery, client = both
        await client.ready(10)

        async def hang(_context: Any) -> None:
            await asyncio.Event().wait()

        servers[0].answer = hang
        started = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(client)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert 2.9 < time.monotonic() - started < 4


async def test_an_unavailable_answer_is_tried_again_when_the_method_may_be(consul: ConsulAgent) -> None:
    async with users("user-1") as servers, registered(consul, *servers), caller(consul) as both:
        _discovery, client = both
        await client.ready(10)

        async def refuse_once(context: Any) -> None:
            servers[0].answer = None
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

        servers[0].answer = refuse_once
        assert await ask(client) == "user-1"
        assert servers[0].calls == 2


async def test_behind_an_open_breaker_calls_fail_at_once_until_a_probe_succeeds(consul: ConsulAgent) -> None:
    async with users("user-1") as servers, registered(consul, *servers), caller(consul) as both:
        discovery, client = both
        await client.ready(10)

        async def refuse(context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

        servers[0].answer = refuse
        await eventually(lambda: _breaker(discovery, 2.0, client), what="an open breaker")
        calls = servers[0].calls
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(client)
        assert servers[0].calls == calls
        servers[0].answer = None
        await eventually(seen_by(client, "user-1"), what="calls again")
        assert await _breaker(discovery, 0.0, client)


async def test_a_service_that_lacks_something_for_one_method_opens_no_breaker(consul: ConsulAgent) -> None:
    """It says so itself, so it is there, and its other methods may be fine."""
    async with users("user-1") as servers, registered(consul, *servers), caller(consul) as both:
        discovery, client = both
        await client.ready(10)

        async def lacks(context: Any) -> None:
            await context.abort_with_status(rpc_status.to_status(to_status(BackendUnavailable("redis"))))

        servers[0].answer = lacks
        for _ in range(FAILURES_TO_OPEN + 1):
            with pytest.raises(grpc.aio.AioRpcError):
                await ask(client)
        assert await _breaker(discovery, 0.0, client)


async def test_an_answer_that_asks_for_no_retry_is_not_tried_again(consul: ConsulAgent) -> None:
    """gRFC A6: a negative pushback, for an outcome that a second attempt cannot tell sooner."""
    async with users("user-1") as servers, registered(consul, *servers), caller(consul) as both:
        _discovery, client = both
        await client.ready(10)

        async def refuse(context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now", (("grpc-retry-pushback-ms", "-1"),))

        servers[0].answer = refuse
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(client)
        assert servers[0].calls == 1


async def _breaker(discovery: Discovery, state: float, client: Client) -> bool:
    await asyncio.gather(ask(client), return_exceptions=True)
    value = discovery._process.metrics.registry.get_sample_value(
        "polychat_edge_breaker_state", {"service": "user"}
    )
    return value == state
