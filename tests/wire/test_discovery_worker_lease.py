"""Worker ids leased from a real Consul: never two holders, lost with the session, taken back later."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import BackendUnavailable
from chassis.ids import Snowflake
from discovery import Discovery, WorkerLease, open_discovery
from discovery.worker_lease import BORN
from tests.support.consul import ConsulAgent, own_consul
from tests.support.eventually import eventually
from tests.support.instances import make_process


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[ConsulAgent]:
    """With a table of worker ids that is not new, so that nobody waits for it to settle."""
    async with own_consul(tmp_path) as agent:
        await agent.start()
        await agent.put(f"kv/{BORN}", "0")
        yield agent


async def leased(stack: AsyncExitStack, consul: ConsulAgent, instance: str) -> WorkerLease:
    discovery: Discovery = await stack.enter_async_context(
        open_discovery(make_process("chat", instance, consul.address))
    )
    return await discovery.lease_worker_id()


async def test_processes_that_lease_at_once_get_different_ids(consul: ConsulAgent) -> None:
    """Even when all of them want the same one first: nineteen ids are left for ten processes."""
    await _occupy(consul, range(19, 1024))
    async with AsyncExitStack() as stack:
        leases = [await leased(stack, consul, f"chat-{number}") for number in range(10)]
        await asyncio.gather(*(lease.ready(20) for lease in leases))
        ids = [lease.worker_id() for lease in leases]
        assert len(set(ids)) == 10
        assert max(ids) < 19


async def test_no_id_is_given_before_one_is_leased(tmp_path: Path) -> None:
    """Consul away at the start: the process runs, makes no ids, says why, and leases when it comes."""
    async with own_consul(tmp_path) as consul, AsyncExitStack() as stack:
        lease = await leased(stack, consul, "chat-1")
        with pytest.raises(BackendUnavailable):
            Snowflake(lease.worker_id).next()
        assert lease.problem() == "no worker id is leased"
        await consul.start()
        await lease.ready(20)
        assert Snowflake(lease.worker_id).next() > 0
        assert lease.problem() is None


async def test_a_session_that_was_ended_ends_the_lease_and_the_same_id_is_taken_back(
    consul: ConsulAgent,
) -> None:
    async with AsyncExitStack() as stack:
        lease = await leased(stack, consul, "chat-1")
        await lease.ready(20)
        worker = lease.worker_id()
        session = (await _slot(consul, worker))["Session"]
        await consul.put(f"session/destroy/{session}")

        async def leased_anew() -> bool:
            slot = await _slot(consul, worker)
            return bool(slot.get("Session", session) != session)

        await eventually(leased_anew, what="a lease with another session")
        await lease.ready(5)
        assert lease.worker_id() == worker


async def test_a_wiped_consul_gives_everyone_the_id_they_had(consul: ConsulAgent) -> None:
    async with AsyncExitStack() as stack:
        leases = [await leased(stack, consul, f"chat-{number}") for number in range(3)]
        await asyncio.gather(*(lease.ready(20) for lease in leases))
        before = [lease.worker_id() for lease in leases]
        consul.kill()
        assert [lease.worker_id() for lease in leases] == before
        consul.wipe()
        await consul.start()

        async def all_stored() -> bool:
            return all([await _slot(consul, worker) is not None for worker in before])

        await eventually(all_stored, seconds=20, what="the leases in the new table")
        await asyncio.gather(*(lease.ready(5) for lease in leases))
        assert [lease.worker_id() for lease in leases] == before


async def test_an_id_given_up_is_taken_back_by_the_same_instance_at_once(consul: ConsulAgent) -> None:
    """And never makes an id of a millisecond that was used."""
    async with AsyncExitStack() as stack:
        lease = await leased(stack, consul, "chat-1")
        await lease.ready(20)
        worker, last = lease.worker_id(), Snowflake(lease.worker_id).next()
    async with AsyncExitStack() as stack:
        lease = await leased(stack, consul, "chat-1")
        await lease.ready(20)

        async def usable() -> bool:
            return lease.problem() is None

        await eventually(usable, what="a later millisecond")
        assert lease.worker_id() == worker
        assert Snowflake(lease.worker_id).next() > last


async def test_an_id_still_locked_by_a_killed_process_is_not_taken_even_by_its_name(
    consul: ConsulAgent,
) -> None:
    async with AsyncExitStack() as stack:
        frozen = await leased(stack, consul, "chat-1")
        await frozen.ready(20)
        namesake = await leased(stack, consul, "chat-1")
        await namesake.ready(20)
        assert namesake.worker_id() != frozen.worker_id()


async def _slot(consul: ConsulAgent, worker: int) -> Any:
    found = await consul.get(f"kv/polychat/workers/{worker}")
    return found[0] if found else None


async def _occupy(consul: ConsulAgent, workers: range) -> None:
    """Records of other instances that rest for another day."""
    record = json.dumps({"instance": "x", "held_time": 2**42, "last_timestamp": 0, "released": True})
    value = base64.b64encode(record.encode()).decode()
    operations = [
        {"KV": {"Verb": "set", "Key": f"polychat/workers/{worker}", "Value": value}} for worker in workers
    ]
    for start in range(0, len(operations), 64):
        await consul.put("txn", json.dumps(operations[start : start + 64]))
