"""No space left under Kafka, and then under PostgreSQL, while a swarm sends (I1, ANSWER, SEEN, HEAL)."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping

import psycopg
import pytest
import pytest_asyncio

from tests.support.api import ApiError
from tests.support.matrix import Matrix
from tests.support.sight import sight
from tests.support.signs import OUTAGE
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.stack import ATTACH, Stack, data_folder, running_stack
from tests.support.swarm import Swarm, running_swarm

CLIENTS, ROOMS = 10, 4
MEGABYTES = {"kafka": 128, "postgres": 224}
"""Twice what they need for a minute of the swarm; PostgreSQL keeps whole segments of its WAL ahead."""
FULL_SECONDS = 12.0
WAL_BYTES = 1_000_000
REFUSED_SECONDS = 20.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

Disks = Mapping[str, SmallDisk]


@pytest.fixture(scope="module")
def disks() -> Iterator[Disks]:
    """A small disk each for Kafka and PostgreSQL, in the data folder of a stack that is not there yet."""
    folder = data_folder()
    try:
        with contextlib.ExitStack() as mounted:
            yield {
                part: mounted.enter_context(small_disk(folder / part, size))
                for part, size in MEGABYTES.items()
            }
    except PermissionError as error:
        pytest.skip(f"needs {error}")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stack(disks: Disks) -> Iterator[Stack]:
    """On the small disks."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv(ATTACH, raising=False)
        with running_stack(data=disks["kafka"].folder.parent) as running:
            yield running


@pytest_asyncio.fixture(scope="module")
async def swarm(stack: Stack) -> AsyncIterator[Swarm]:
    """Is sending."""
    async with running_swarm(stack, clients=CLIENTS, rooms=ROOMS) as running:
        running.start_sending()
        yield running


async def test_a_full_disk_under_kafka_loses_nothing(
    stack: Stack, swarm: Swarm, disks: Disks, matrix: Matrix
) -> None:
    """The broker cannot append, and ends; it starts again and again until there is space."""
    async with matrix.fault("kafka disk full", swarm), sight(stack) as seen, disks["kafka"].full():
        await _seen_and_refused(seen.lasts(OUTAGE["kafka"], FULL_SECONDS), swarm)
    await stack.ready(0)


async def test_a_full_disk_under_postgres_loses_nothing(
    stack: Stack, swarm: Swarm, disks: Disks, matrix: Matrix
) -> None:
    """The server cannot write its WAL, and panics; it recovers as soon as there is space."""
    async with matrix.fault("postgres disk full", swarm), sight(stack) as seen, disks["postgres"].full():
        # Until then it writes on in what it has, and nothing is missing.
        await asyncio.to_thread(_use_up_the_wal, stack.postgres_dsn)
        await _seen_and_refused(seen.lasts(OUTAGE["postgres"], FULL_SECONDS), swarm)
    await stack.ready(0)


async def test_after_full_disks_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """No `sent` was false."""
    await matrix.judge(swarm)


async def _seen_and_refused(lasts: Coroutine[None, None, None], swarm: Swarm) -> None:
    async with asyncio.TaskGroup() as both:
        both.create_task(lasts)
        both.create_task(_refused(swarm))


async def _refused(swarm: Swarm) -> None:
    """Until a send is refused with an error that says to try again; any other would be a complaint."""
    with pytest.raises(ApiError) as refused:
        await asyncio.wait_for(_send_on(swarm), REFUSED_SECONDS)
    assert refused.value.code == "unavailable"
    assert refused.value.reason in {"BACKEND_UNAVAILABLE", "OUTCOME_UNKNOWN"}


async def _send_on(swarm: Swarm) -> None:
    while True:
        await swarm.say("is there space?")


def _use_up_the_wal(dsn: str) -> None:
    """Writes into the segments that the server made ahead, until it can make no more."""
    text = "x" * WAL_BYTES
    with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(MEGABYTES["postgres"] * 1_000_000 // WAL_BYTES):
            connection.execute("SELECT pg_logical_emit_message(true, 'fill', %s)", (text,))
        raise AssertionError("the disk was not full")
