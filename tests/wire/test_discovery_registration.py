"""A process's entry in a real Consul: there while it serves, again when forgotten, gone when it leaves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from discovery import open_discovery
from tests.support.consul import ConsulAgent, own_consul
from tests.support.eventually import eventually
from tests.support.instances import NOT_SERVING, make_process, users

ENTRY = "agent/service/user-1"


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[ConsulAgent]:
    async with own_consul(tmp_path) as agent:
        await agent.start()
        yield agent


async def test_the_entry_says_where_the_instance_is_and_how_to_check_it(consul: ConsulAgent) -> None:
    """One check, of gRPC health; an edge tells its HTTP port too."""
    async with (
        users("user-1") as (server,),
        open_discovery(make_process("user", "user-1", consul.address)) as found,
    ):
        await found.register("user", server.port, http_port=8080)
        await eventually(lambda: consul.passing("user"), what="a passing check")
        entry = await consul.get(ENTRY)
        assert (entry["Service"], entry["Address"], entry["Port"]) == ("user", "127.0.0.1", server.port)
        assert entry["Meta"] == {"http_port": "8080"}
        checks = await consul.get("agent/checks")
        assert [check["ServiceID"] for check in checks.values()] == ["user-1"]


async def test_an_instance_that_says_it_does_not_serve_is_critical(consul: ConsulAgent) -> None:
    async with (
        users("user-1") as (server,),
        open_discovery(make_process("user", "user-1", consul.address)) as found,
    ):
        await found.register("user", server.port)
        await eventually(lambda: consul.passing("user"), what="a passing check")
        await server.tell(NOT_SERVING)

        async def critical() -> bool:
            return not await consul.passing("user")

        await eventually(critical, what="a critical check")


async def test_an_entry_that_the_agent_forgot_is_written_again_within_ten_seconds(
    consul: ConsulAgent,
) -> None:
    async with (
        users("user-1") as (server,),
        open_discovery(make_process("user", "user-1", consul.address)) as found,
    ):
        await found.register("user", server.port)
        await eventually(lambda: consul.get(ENTRY), what="the entry")
        await consul.put("agent/service/deregister/user-1")
        assert await consul.get(ENTRY) is None
        forgotten = time.monotonic()
        await eventually(lambda: consul.get(ENTRY), seconds=15, what="the entry again")
        assert time.monotonic() - forgotten < 10


async def test_a_drain_takes_the_entry_out_while_the_server_still_runs(consul: ConsulAgent) -> None:
    process = make_process("user", "user-1", consul.address)
    async with users("user-1") as (server,), open_discovery(process) as found:
        await found.register("user", server.port)
        await eventually(lambda: consul.get(ENTRY), what="the entry")
        process.draining.set()
        await eventually(lambda: _gone(consul), seconds=2, what="the end of the entry")


async def test_the_end_of_a_process_takes_the_entry_out(consul: ConsulAgent) -> None:
    async with users("user-1") as (server,):
        async with open_discovery(make_process("user", "user-1", consul.address)) as found:
            await found.register("user", server.port)
            await eventually(lambda: consul.get(ENTRY), what="the entry")
        assert await _gone(consul)


async def test_a_restarted_instance_replaces_what_its_killed_predecessor_left(consul: ConsulAgent) -> None:
    """The id is the instance name: one entry, with the new port."""
    await consul.put("agent/service/register", '{"ID": "user-1", "Name": "user", "Port": 1}')
    async with (
        users("user-1") as (server,),
        open_discovery(make_process("user", "user-1", consul.address)) as found,
    ):
        await found.register("user", server.port)

        async def replaced() -> bool:
            entries = await consul.get("catalog/service/user")
            return bool([entry["ServicePort"] for entry in entries] == [server.port])

        await eventually(replaced, what="one entry with the new port")


async def _gone(consul: ConsulAgent) -> bool:
    return await consul.get(ENTRY) is None
