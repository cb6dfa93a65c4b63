"""Lets one fault after the other loose on a swarm, and judges what it saw."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import httpx
import psycopg
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from scripts.stack.errors import StackError
from tests.nemesis.fault import RETURN_SECONDS, World
from tests.nemesis.report import Report
from tests.nemesis.schedule import Blow, Step
from tests.support.eventually import eventually
from tests.support.matrix import HEAL_SECONDS, broken_promises

CALM_SECONDS = 60.0
"""For the swarm to run well before the first fault."""
HOPELESS_SECONDS = 90.0
"""What is not normal by then is not going to be: the run ends."""
BLOW_SECONDS = 300.0
"""A fault that takes longer than this, with everything it waits for, is a mistake of its own."""
SAID_SECONDS = 90.0
"""For two changes of a room that went down with the log: each goes again after 20 s."""
UNSAID = "SELECT FROM chat.outbox LIMIT 1"
NOT_DONE = (StackError, OSError, TimeoutError, psycopg.Error, RedisError, KafkaError, httpx.HTTPError)
"""A part did not come back, or did not do what it was asked: nothing of ours, but not to be passed over."""

Say = Callable[[str], None]


async def strike(
    world: World, plan: Sequence[Step], seconds: float, report: Report, say: Say, pace: float = 1.0
) -> None:
    """Does the steps of the plan until the time is over, then ends the swarm and judges it.

    `pace` makes the pauses between two steps longer.
    """
    began = time.monotonic()
    await world.swarm.normal(began, CALM_SECONDS)
    for number, step in enumerate(plan, 1):
        await asyncio.sleep(step.pause * pace)
        if time.monotonic() - began > seconds:
            break
        say(f"{time.monotonic() - began:6.0f} s  step {number}: {step}")
        report.struck(step)
        if not await _step(world, step, report, say):
            break
    report.seconds = time.monotonic() - began
    report.unreached = world.unreached
    await _judge(world, report)


async def _step(world: World, step: Step, report: Report, say: Say) -> bool:
    """Whether everything became normal after it, be it late."""
    try:
        async with asyncio.timeout(BLOW_SECONDS), asyncio.TaskGroup() as blows:
            for blow in step.blows:
                blows.create_task(_blow(world, blow, report))
        await world.stack.ready(RETURN_SECONDS)
    except TimeoutError as error:
        report.broken.append(f"HEAL: parts are not back after {step}: {error}")
        return False
    ended = time.monotonic()
    try:
        await world.swarm.normal(ended, HOPELESS_SECONDS)
    except TimeoutError:
        report.broken.append(f"HEAL: not normal {HOPELESS_SECONDS:.0f} s after {step}")
        return False
    took = time.monotonic() - ended
    report.healed(step, took)
    slowest = world.swarm.journal.slowest_answer
    say(f"          normal after {took:.1f} s, slowest answer so far {slowest:.1f} s")
    if took > HEAL_SECONDS:
        report.broken.append(f"HEAL: normal only {took:.1f} s after {step}")
    return True


async def _blow(world: World, blow: Blow, report: Report) -> None:
    await asyncio.sleep(blow.later)
    try:
        await blow.fault.inject(world, blow.seconds, random.Random(blow.seed))
    except NOT_DONE as error:
        report.broken.append(f"NEMESIS: could not do or end {blow}: {error!r}")


async def _judge(world: World, report: Report) -> None:
    swarm = world.swarm
    # The last message comes before the last look: who has wandered is to see it too.
    await world.wanderers.stop()
    await _all_said(world, report)
    await swarm.finish()
    await world.wanderers.see_all()
    report.close(swarm.journal, world.wanderers.moves, await broken_promises(swarm))


async def _all_said(world: World, report: Report) -> None:
    """Changes of rooms that a broker lost are said again, and are events that everybody has to see."""
    async with await psycopg.AsyncConnection.connect(world.stack.postgres_dsn, autocommit=True) as connection:

        async def none() -> bool:
            found = await (await connection.execute(UNSAID)).fetchone()
            return found is None

        try:
            await eventually(none, seconds=SAID_SECONDS)
        except TimeoutError:
            report.broken.append(
                f"HEAL: {SAID_SECONDS:.0f} s after the last fault a room still lacks a change"
            )
