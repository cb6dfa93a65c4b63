"""Who works on which partition: a storm of rebalances, an owner that comes back, one that does not fetch."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from chassis.kafka import PARTITIONS, ROOM_LOG
from tests.support.armed import Armory
from tests.support.eventually import eventually
from tests.support.log_writer import sample
from tests.support.matrix import Matrix
from tests.support.outages import frozen
from tests.support.siblings import siblings
from tests.support.sight import sight
from tests.support.signs import OUTAGE
from tests.support.stack import Stack
from tests.support.swarm import Swarm

STORM_SECONDS = 40.0
JOINED_SECONDS = 20.0
OWNED_SECONDS = 40.0
"""The group misses the heartbeats of a frozen member for 10 s before it gives its partitions to others."""
KAFKA_SECONDS = 30.0
POSTGRES_SECONDS = 60.0
LAG_SECONDS = 30.0
GROWTH_KILOBYTES = 64 * 1024
"""Of the message process while PostgreSQL is away: what is fetched is bounded by 8 MiB."""
FENCED = "polychat_message_partitions_fenced_total"
LAG = "polychat_message_consumer_lag_records"

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]


async def test_a_storm_of_rebalances_loses_and_repeats_nothing(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """Members come, take partitions without working on them, and go, for 40 s."""
    members = 0
    async with matrix.fault("rebalance storm", swarm):
        end = time.monotonic() + STORM_SECONDS
        while time.monotonic() < end:
            await _come_and_go(own_stack)
            members += 1
    assert members > STORM_SECONDS / 10


async def _come_and_go(stack: Stack) -> None:
    """A member of the group until it was given partitions."""
    consumer = AIOKafkaConsumer(
        ROOM_LOG, bootstrap_servers=stack.kafka_bootstrap, group_id="message", enable_auto_commit=False
    )
    await consumer.start()
    try:

        async def assigned() -> bool:
            return bool(consumer.assignment())

        await eventually(assigned, seconds=JOINED_SECONDS, what="partitions for the new member")
    finally:
        await consumer.stop()


async def test_an_owner_that_comes_back_with_a_batch_in_hand_writes_nothing(
    armory: Armory, swarm: Swarm, matrix: Matrix
) -> None:
    """It stood still between planning and committing; its partitions went to another and moved on (I3)."""
    stack = armory.stack
    async with siblings(stack, {"message-2": "message"}) as (other,):
        async with matrix.fault("owner paused with a batch in hand", swarm):
            await armory.arm("message", "message.before_commit=stall(1)@3")
            await armory.fired("message", "message.before_commit")
            with frozen(stack, "message"):

                async def owns_all() -> bool:
                    shown = await sample(stack, other, 'polychat_message_partitions{state="working"}')
                    return shown == PARTITIONS

                await eventually(owns_all, seconds=OWNED_SECONDS, what="all partitions for the other one")
                await swarm.everyone_sent(time.monotonic(), OWNED_SECONDS)

            async def fenced() -> bool:
                return await sample(stack, "message", FENCED) > 0

            await eventually(fenced, seconds=OWNED_SECONDS, what="a fenced commit")
        async with matrix.fault("second owner asked to end", swarm):
            await other.end()


async def test_a_process_that_does_not_fetch_lets_the_group_go_on(
    armory: Armory, swarm: Swarm, matrix: Matrix
) -> None:
    """Stuck for longer than max.poll.interval while another comes: that one works, and later both do."""
    stack = armory.stack
    async with matrix.fault("owner blocked past max.poll.interval", swarm):
        await armory.arm("message", "message.before_poll=stall(75)")
        await armory.fired("message", "message.before_poll")
        async with siblings(stack, {"message-2": "message"}) as (other,):
            await swarm.everyone_sent(time.monotonic(), 75)

            async def shared() -> bool:
                shown = [
                    await sample(stack, one, 'polychat_message_partitions{state="working"}')
                    for one in ("message", other)
                ]
                return shown == [PARTITIONS / 2, PARTITIONS / 2]

            await eventually(shared, seconds=75 + JOINED_SECONDS, what="a fair share for both")
            await other.end()


async def test_a_kafka_frozen_for_long_needs_no_new_process(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """Sends are OUTCOME_UNKNOWN meanwhile; the producer works again by itself (aio-libs/aiokafka#1017)."""
    pids = [own_stack.pid(part) for part in ("chat", "message", "kafka")]
    async with matrix.fault(f"kafka frozen {KAFKA_SECONDS:.0f} s", swarm), sight(own_stack) as seen:
        with frozen(own_stack, "kafka"):
            await seen.lasts(OUTAGE["kafka"], KAFKA_SECONDS)
    assert pids == [own_stack.pid(part) for part in ("chat", "message", "kafka")]


async def test_a_postgres_away_for_a_minute_leaves_no_lag_and_no_memory(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """Partitions are paused, what is fetched is dropped; the log keeps it (I1, I7)."""
    pid = own_stack.pid("message")
    before = _resident(pid)
    async with matrix.fault(f"postgres frozen {POSTGRES_SECONDS:.0f} s", swarm), sight(own_stack) as seen:
        with frozen(own_stack, "postgres"):
            await seen.lasts(OUTAGE["postgres"], POSTGRES_SECONDS)
            grown = _resident(pid) - before
        assert grown < GROWTH_KILOBYTES

        async def none() -> bool:
            return await sample(own_stack, "message", LAG) == 0

        await eventually(none, seconds=LAG_SECONDS, what="an end of the lag")
    assert own_stack.pid("message") == pid


async def test_after_all_owners_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """Every message has one place, whoever gave it."""
    await matrix.judge(swarm)


def _resident(pid: int) -> int:
    """Memory of a process in kilobytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])
