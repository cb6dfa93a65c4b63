"""A client finds instances through a real Consul, balances over them and rides out what happens to both."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from polychat.user.v1.user_service_pb2 import GetUserRequest
from polychat.user.v1.user_service_pb2_grpc import UserServiceStub

from chassis.errors import BackendUnavailable, Code
from chassis.grpc_options import CHANNEL_OPTIONS, SERVER_OPTIONS, Options
from chassis.status import from_rpc_error
from discovery import Discovery, open_discovery
from tests.support.consul import ConsulAgent, own_consul
from tests.support.discovery_clients import Client, ask, caller, registered, seen_by
from tests.support.eventually import eventually
from tests.support.instances import NOT_SERVING, FakeUsers, make_process, users


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[ConsulAgent]:
    async with own_consul(tmp_path) as agent:
        await agent.start()
        yield agent


async def test_calls_are_balanced_over_the_instances_that_are_registered(consul: ConsulAgent) -> None:
    """Round robin over both; the one that drains gets no call any more, and none fails."""
    async with users("user-1", "user-2") as servers, registered(consul, *servers), caller(consul) as both:
        _discovery, client = both
        await client.ready(10)
        await eventually(seen_by(client, "user-1", "user-2"), what="calls on both")
        await servers[0].tell(NOT_SERVING)
        await eventually(seen_by(client, "user-2"), what="calls on the second only")


async def test_a_service_that_was_never_seen_answers_unavailable_at_once(consul: ConsulAgent) -> None:
    async with caller(consul) as (discovery, client):
        started = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(client)
        assert time.monotonic() - started < 0.5
        failure = from_rpc_error(caught.value)
        assert (failure.code, failure.reason) == (Code.UNAVAILABLE, "BACKEND_UNAVAILABLE")
        assert not discovery.healthy("user")
        with pytest.raises(BackendUnavailable):
            await client.ready(0.1)


async def test_a_client_that_waits_is_ready_when_the_first_instance_comes(consul: ConsulAgent) -> None:
    async with users("user-1") as servers, caller(consul) as (discovery, client):
        waiting = asyncio.create_task(client.ready(15))
        async with registered(consul, *servers):
            await waiting
            assert discovery.healthy("user")
            assert [i.name for i in client.instances()] == ["user-1"]


async def test_calls_go_on_without_consul_frozen_killed_and_wiped(consul: ConsulAgent) -> None:
    """No call fails, and both instances are used all the time, until both are entered again ≤ 10 s."""
    async with both_called(consul) as (_servers, _discovery, _client, used):
        consul.signal(signal.SIGSTOP)
        await _calls_on_both(used)
        consul.kill()
        await _calls_on_both(used)
        consul.wipe()
        await consul.start()
        empty = time.monotonic()
        await eventually(lambda: _entered(consul), seconds=20, what="both registered again")
        assert time.monotonic() - empty < 10
        await _calls_on_both(used)


async def test_consul_restarts_rebuild_nothing_and_fail_nothing(consul: ConsulAgent) -> None:
    """Its checks start as critical after each restart; the channel stays the one that it was."""
    async with both_called(consul) as (_servers, discovery, _client, used):
        channel = discovery._service("user").channel
        before = channel.channel
        for _ in range(3):
            consul.kill()
            await consul.start()
            await _calls_on_both(used)
        await eventually(lambda: _entered(consul), seconds=20, what="both pass again")
        await eventually(lambda: _passing(discovery, 2), seconds=20, what="both seen to pass")
        assert channel.channel is before


async def test_a_process_starts_before_consul_and_waits_for_it(tmp_path: Path) -> None:
    async with (
        own_consul(tmp_path) as consul,
        users("user-1") as servers,
        registered(consul, *servers),
        caller(consul) as (_discovery, client),
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(client)
        await consul.start()
        await client.ready(15)
        assert await ask(client) == "user-1"


async def test_a_killed_instance_costs_no_call_that_may_be_repeated(consul: ConsulAgent) -> None:
    """GetUser has no side effect: what the dead one did not answer goes to the other."""
    async with both_called(consul) as (servers, _discovery, client, used):
        await _calls_on_both(used)
        await servers[0].stop()
        await eventually(seen_by(client, "user-2"), what="calls on the second only")
        await servers[0].start()
        await eventually(seen_by(client, "user-1", "user-2"), what="calls on both again")


async def test_what_a_leaving_server_cancels_goes_to_the_other(consul: ConsulAgent) -> None:
    """Of calls that reach it as it ends a server says CANCELLED, whoever made them."""
    async with both_called(consul, callers=20, pause=0.0) as (servers, _discovery, client, used):
        for _ in range(3):
            await _calls_on_both(used)
            await servers[0].stop()
            await servers[0].start()
            await eventually(seen_by(client, "user-1", "user-2"), what="calls on both again")


async def test_an_instance_that_moves_keeps_its_name_and_replaces_its_entry(consul: ConsulAgent) -> None:
    async with users("user-1") as old, caller(consul) as (_discovery, client), registered(consul, *old):
        await eventually(seen_by(client, "user-1"), what="the old one")
        async with users("user-1") as new, registered(consul, *new):
            await eventually(lambda: _ports(client, [new[0].port]), what="the new port in place of the old")


async def test_a_call_in_flight_survives_the_change_of_the_set(consul: ConsulAgent) -> None:
    async with users("user-1", "user-2") as both, registered(consul, both[0]), caller(consul) as found:
        discovery, client = found
        await client.ready(10)
        arrived, go = asyncio.Event(), asyncio.Event()

        async def wait(_context: Any) -> None:
            arrived.set()
            await go.wait()

        both[0].answer = wait
        slow = asyncio.create_task(ask(client))
        await arrived.wait()
        before = discovery._service("user").channel.channel
        async with registered(consul, both[1]):
            await eventually(lambda: _replaced(discovery, before), what="a new channel")
            go.set()
            assert await slow == "user-1"


async def test_a_silent_connection_is_pinged_and_not_cut_off_for_it() -> None:
    """The constants of both ends, twenty times as fast: five pings without data."""
    server = grpc.aio.server(options=_faster(SERVER_OPTIONS))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ready = grpc.ChannelConnectivity.READY
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_faster(CHANNEL_OPTIONS)) as channel:
        await asyncio.wait_for(channel.channel_ready(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.wait_for_state_change(ready), 3)
        assert channel.get_state() is ready
    await server.stop(0)


async def test_whether_consul_answers_is_a_metric(consul: ConsulAgent) -> None:
    process = make_process("user", "user-1", consul.address)
    async with users("user-1") as (server,), open_discovery(process) as discovery:
        await discovery.register("user", server.port)

        async def reachable(value: float) -> bool:
            return process.metrics.registry.get_sample_value("polychat_user_consul_reachable") == value

        await eventually(lambda: reachable(1.0), what="a reachable Consul")
        consul.kill()
        await eventually(lambda: reachable(0.0), seconds=10, what="a Consul that is away")


async def test_a_stream_goes_to_the_instance_that_was_chosen(consul: ConsulAgent) -> None:
    async with users("user-1", "user-2") as servers, registered(consul, *servers), caller(consul) as both:
        _discovery, client = both
        await eventually(seen_by(client, "user-1", "user-2"), what="calls on both")
        for instance in client.instances():
            async with client.connect(instance) as channel:
                reply = await UserServiceStub(channel).GetUser(GetUserRequest(user_id=1))
                assert reply.user.display_name == instance.name


def _faster(options: Options) -> Options:
    times = {"grpc.keepalive_time_ms", "grpc.http2.min_ping_interval_without_data_ms"}
    return tuple((name, int(value) // 20 if name in times else value) for name, value in options)


@asynccontextmanager
async def both_called(
    consul: ConsulAgent, callers: int = 1, pause: float = 0.01
) -> AsyncIterator[tuple[list[FakeUsers], Discovery, Client, set[str]]]:
    """Two servers, and callers that use both all the time and of whose calls none may fail; who answered."""
    async with users("user-1", "user-2") as servers, registered(consul, *servers), caller(consul) as both:
        discovery, client = both
        await eventually(seen_by(client, "user-1", "user-2"), what="calls on both")
        failed: list[BaseException] = []
        used: set[str] = set()
        traffic = [asyncio.create_task(_traffic(client, failed, used, pause)) for _ in range(callers)]
        try:
            yield servers, discovery, client, used
            assert failed == []
        finally:
            for one in traffic:
                one.cancel()


async def _traffic(client: Client, failed: list[BaseException], used: set[str], pause: float) -> None:
    while True:
        try:
            used.add(await ask(client))
        except grpc.aio.AioRpcError as error:
            failed.append(error)
        await asyncio.sleep(pause)


async def _calls_on_both(used: set[str]) -> None:
    used.clear()

    async def both() -> bool:
        return used == {"user-1", "user-2"}

    await eventually(both, what="calls on both instances")


async def _entered(consul: ConsulAgent) -> bool:
    return await consul.passing("user") == {"user-1", "user-2"}


async def _passing(discovery: Discovery, count: int) -> bool:
    return discovery._service("user").watcher.members.passing == count


async def _ports(client: Client, ports: list[int]) -> bool:
    return [instance.port for instance in client.instances()] == ports


async def _replaced(discovery: Discovery, before: grpc.aio.Channel) -> bool:
    return discovery._service("user").channel.channel is not before
