"""When a lease gives its worker id and when it must not, with a Consul and a time that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import Gauge

from chassis.errors import BackendUnavailable
from chassis.ids import COUNTER_BITS, EPOCH_MILLIS, WORKER_BITS
from discovery.worker_lease import (
    BORN,
    OFFLINE_SECONDS,
    SETTLE_SECONDS,
    TTL_SECONDS,
    WorkerLease,
    snowflake_ids,
)
from discovery.worker_slots import Slot, decode, key_of
from tests.unit.discovery.fakes import FakeAgent, Time


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def agent() -> FakeAgent:
    agent = FakeAgent()
    agent._write(BORN, b"0", "")
    return agent


def make(agent: FakeAgent, time: Time, instance: str = "chat-1") -> WorkerLease:
    return WorkerLease(agent, instance, Gauge("held", "test", registry=None), clocks=time.clocks)


@asynccontextmanager
async def running(lease: WorkerLease, time: Time) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(lease.run())
    await time.settle()
    try:
        yield task
    finally:
        task.cancel()


def record(agent: FakeAgent, worker: int) -> Slot:
    found = decode(agent.store[key_of(worker)].value)
    assert found is not None
    return found


async def test_without_consul_ids_are_given_for_hours_but_not_for_a_day(agent: FakeAgent, time: Time) -> None:
    """Another instance may take the id after 24 h, so this one stops before."""
    lease = make(agent, time)
    async with running(lease, time):
        worker = lease.worker_id()
        agent.reachable = False
        await time.advance(OFFLINE_SECONDS - 60, step=5)
        assert lease.worker_id() == worker
        await time.advance(120, step=5)
        with pytest.raises(BackendUnavailable):
            lease.worker_id()
        assert lease.problem() is not None


async def test_a_session_that_consul_calls_invalid_stops_the_ids_at_once(
    agent: FakeAgent, time: Time
) -> None:
    """Here for good: the id went to another instance meanwhile."""
    lease = make(agent, time)
    async with running(lease, time):
        worker = lease.worker_id()
        agent.invalidate()
        agent._write(key_of(worker), Slot("chat-2", time.wall_millis, 0, released=False).encode(), "other")
        await time.advance(1)
        await time.settle()
        assert lease.worker_id() != worker


async def test_while_it_cannot_lease_anew_no_id_is_given(agent: FakeAgent, time: Time) -> None:
    lease = make(agent, time)
    async with running(lease, time):
        agent.invalidate()

        async def refuse(name: str, ttl_seconds: int) -> str:
            agent.reachable = False
            return await FakeAgent.open_session(agent, name, ttl_seconds)

        agent.open_session = refuse  # type: ignore[method-assign]
        await time.advance(1)
        with pytest.raises(BackendUnavailable):
            lease.worker_id()


async def test_a_session_that_ended_before_its_first_lock_gives_way_to_another(
    agent: FakeAgent, time: Time
) -> None:
    """The process stood still between the two: the old session can lock nothing, however often it tries."""
    sessions: list[str] = []

    async def open_session(name: str, ttl_seconds: int) -> str:
        sessions.append(await FakeAgent.open_session(agent, name, ttl_seconds))
        if len(sessions) == 1:
            agent.sessions.clear()
        return sessions[-1]

    agent.open_session = open_session  # type: ignore[method-assign]
    lease = make(agent, time)
    async with running(lease, time):
        await time.advance(1)
        assert lease.problem() is None
    assert len(sessions) == 2


async def test_a_process_that_stood_still_gives_no_id_before_it_has_asked(
    agent: FakeAgent, time: Time
) -> None:
    lease = make(agent, time)
    async with running(lease, time):
        lease.worker_id()
        time.jump(TTL_SECONDS + 0.1)
        with pytest.raises(BackendUnavailable):
            lease.worker_id()
        await time.advance(1)
        assert lease.problem() is None


async def test_a_process_that_stood_still_goes_on_when_consul_cannot_be_asked(
    agent: FakeAgent, time: Time
) -> None:
    lease = make(agent, time)
    async with running(lease, time):
        worker = lease.worker_id()
        agent.reachable = False
        time.jump(3600)
        with pytest.raises(BackendUnavailable):
            lease.worker_id()
        await time.advance(2)
        assert lease.worker_id() == worker


async def test_a_request_that_was_under_way_meanwhile_has_shown_nothing(agent: FakeAgent, time: Time) -> None:
    """Its timeout fires on waking, though Consul may be there and say that the session is over."""
    lease = make(agent, time)
    async with running(lease, time):
        lease.worker_id()
        asked = asyncio.Event()

        async def stand_still(session: str) -> bool:
            del agent.renew
            asked.set()
            await time.sleep(1)
            agent.reachable = False
            return await agent.renew(session)

        agent.renew = stand_still  # type: ignore[method-assign]
        await time.advance(1)
        await asked.wait()
        time.jump(60)
        await time.settle()
        assert lease.problem() is not None


async def test_a_crashed_holders_last_seconds_are_not_used_again(agent: FakeAgent, time: Time) -> None:
    """Its record is up to ten seconds old, so the next holder starts that much after it."""
    last = time.wall_millis - 4_000
    agent._write(key_of(5), Slot("chat-1", last, last, released=False).encode(), "")
    lease = make(agent, time)
    async with running(lease, time):
        assert lease.not_before_millis == last + 10_000
        with pytest.raises(BackendUnavailable):
            lease.worker_id()
        await time.advance(5.9)
        assert lease.problem() is not None
        await time.advance(0.2)
        assert lease.worker_id() == 5


async def test_a_released_id_starts_right_after_its_last_timestamp(agent: FakeAgent, time: Time) -> None:
    first = make(agent, time)
    async with running(first, time) as task:
        worker = first.worker_id()
        task.cancel()
        await first.close()
    assert record(agent, worker) == Slot("chat-1", time.wall_millis, time.wall_millis, released=True)
    second = make(agent, time)
    async with running(second, time):
        assert second.problem() is not None
        time.jump(0.001)
        assert second.problem() is not None, "a clock read just before may still show the old millisecond"
        await time.settle()
        assert second.worker_id() == worker


async def test_taking_an_id_keeps_what_its_record_says_was_used(agent: FakeAgent, time: Time) -> None:
    """A second crash before the first id is made must not forget what the first holder used."""
    last = time.wall_millis - 4_000
    agent._write(key_of(5), Slot("chat-1", last, last, released=True).encode(), "")
    async with running(make(agent, time), time):
        assert record(agent, 5).last_timestamp == last


async def test_the_record_is_kept_fresh_while_the_id_is_held(agent: FakeAgent, time: Time) -> None:
    lease = make(agent, time)
    async with running(lease, time):
        worker = lease.worker_id()
        await time.advance(30)
        lease.worker_id()
        await time.advance(12)
        assert time.wall_millis - record(agent, worker).held_time <= 11_000
        assert record(agent, worker).last_timestamp > time.wall_millis - 13_000


async def test_its_own_id_taken_back_after_a_lost_session_is_usable_at_once(
    agent: FakeAgent, time: Time
) -> None:
    lease = make(agent, time)
    async with running(lease, time):
        for _ in range(11):
            worker = lease.worker_id()
            await time.advance(1)
        agent.invalidate()
        await time.advance(1)
        assert lease.worker_id() == worker


async def test_in_a_new_table_a_newcomer_waits_until_the_living_have_their_ids_back(time: Time) -> None:
    agent = FakeAgent()
    lease = make(agent, time)
    async with running(lease, time):
        await time.advance(SETTLE_SECONDS - 0.5)
        assert lease.problem() == "no worker id is leased"
        await time.advance(1)
        assert lease.problem() is None


async def test_a_marker_that_is_junk_delays_nothing(time: Time) -> None:
    agent = FakeAgent()
    agent._write(BORN, b"junk", "")
    lease = make(agent, time)
    async with running(lease, time):
        assert lease.problem() is None


async def test_ids_are_made_after_those_of_a_previous_holder(agent: FakeAgent, time: Time) -> None:
    """Each greater than the last, all with the leased worker id; none without a lease."""
    lease = make(agent, time)
    new_id = snowflake_ids(lease)
    with pytest.raises(BackendUnavailable):
        new_id()
    used_until = 2 * time.wall_millis
    async with running(lease, time):
        lease._not_before = used_until
        made = [new_id() for _ in range(3)]
    assert sorted(set(made)) == made
    assert {number >> COUNTER_BITS & 1023 for number in made} == {lease.worker_id()}
    assert made[0] >> (WORKER_BITS + COUNTER_BITS) > used_until - EPOCH_MILLIS
