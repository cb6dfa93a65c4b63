"""Kafka loses the room log under a swarm: the product goes on by itself (docs/decisions/0007-lost-log.md)."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from chassis.kafka import ROOM_LOG
from scripts.stack.provision_kafka import provision_kafka
from tests.support.emptied import killed_and_emptied
from tests.support.eventually import eventually
from tests.support.log_writer import sample
from tests.support.matrix import Matrix
from tests.support.outages import frozen
from tests.support.sight import sight
from tests.support.signs import OUTAGE
from tests.support.stack import Stack
from tests.support.swarm import Swarm

PROBLEM = '^message .*_problem{check="room_log"}'
PRODUCED_SECONDS = 20.0
SHOWN_SECONDS = 90.0
"""For two changes of a room that went down with the log: each goes again after 20 s."""

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


async def _room_in_the_log_only(stack: Stack, swarm: Swarm) -> asyncio.Task[int]:
    """Message stands still: returns when a new room's first event waits for it in the log, and nowhere else.

    The task ends when the log shows both members, which it can only do if they are said again.
    """
    anna, bert = await swarm.api.register("anna"), await swarm.api.register("bert")
    before = _kept(stack)
    making = asyncio.create_task(swarm.api.create_room(anna, [bert]))

    async def produced() -> bool:
        return bool(_kept(stack) - before)

    await eventually(produced, seconds=PRODUCED_SECONDS, what="a row that was produced")
    return making


def _kept(stack: Stack) -> set[int]:
    with psycopg.connect(stack.postgres_dsn) as connection:
        rows = connection.execute("SELECT id FROM chat.outbox WHERE produce_time IS NOT NULL").fetchall()
    return {row[0] for row in rows}


async def _restarted_logs(stack: Stack) -> float:
    return await sample(stack, "message", "polychat_message_logs_restarted_total")


async def test_a_topic_that_is_deleted_and_made_again_is_gone_on_in(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """While it is away message says so; then what was not answered comes again, what was answered stays."""
    before = await _restarted_logs(own_stack)
    admin = AIOKafkaAdminClient(bootstrap_servers=own_stack.kafka_bootstrap)
    await admin.start()
    async with sight(own_stack) as seen:
        async with matrix.fault("topic deleted", swarm):
            with frozen(own_stack, "message"):
                making = await _room_in_the_log_only(own_stack, swarm)
                deleted = time.monotonic()
                await admin.delete_topics([ROOM_LOG])
            gone = f"topic {ROOM_LOG} does not exist"
            await seen.everything(metric=PROBLEM, log=f'"room_log": "{gone}"', trouble=gone, since=deleted)
            await provision_kafka(own_stack.kafka_bootstrap)
        await asyncio.wait_for(making, SHOWN_SECONDS)
    await admin.close()
    assert await _restarted_logs(own_stack) > before


async def test_a_broker_whose_data_was_removed_is_gone_on_with(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """All records and the group's own state are gone; positions point far behind the end."""
    before = await _restarted_logs(own_stack)
    async with sight(own_stack) as seen:
        async with matrix.fault("kafka wiped", swarm):
            with frozen(own_stack, "message"):
                making = await _room_in_the_log_only(own_stack, swarm)
                pid = killed_and_emptied(own_stack, "kafka")
            async with asyncio.TaskGroup() as both:
                both.create_task(seen.lasts(OUTAGE["kafka"], 0))
                both.create_task(own_stack.back("kafka", pid))
        await asyncio.wait_for(making, SHOWN_SECONDS)
        await seen.look()
    for event in ("log_doubted", "log_restarted"):
        assert any(f'"event": "{event}"' in line for line in seen.lines), event
    assert await _restarted_logs(own_stack) > before


async def test_after_all_losses_nothing_answered_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """Every `sent` is stored, once, in order; room by room without a gap (I1 to I4)."""
    await matrix.judge(swarm)
