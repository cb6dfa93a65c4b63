"""The sequencer in its group on a real broker: duplicates, poison, rebalances, crashes, other logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from polychat.internal.log.v1.record_pb2 import DISPOSITION_COMMITTED, DISPOSITION_DUPLICATE

from chassis.kafka import PARTITIONS, partition_of
from chassis.telemetry import Metrics
from services.message.domain import Plan
from services.message.hints import Hints
from tests.support.eventually import eventually
from tests.support.message_instances import Log, first_record, open_log
from tests.support.room_log import joined, sent

ROOMS = range(1, 31)
"""Enough rooms for most partitions."""
SLOW_SESSION_SECONDS = 30.0


@pytest.fixture
async def log(
    postgres_dsn: Callable[[str], str], kafka_bootstrap: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Log]:
    """Topics and a database of this test's own."""
    async with open_log(postgres_dsn("message"), kafka_bootstrap, redis_url, tmp_path) as made:
        yield made


class Silent(Hints):
    """An instance that is killed after the commit, before it tells anyone."""

    def __init__(self) -> None:
        super().__init__(_Nobody(), Metrics("message"))
        self.reached = asyncio.Event()

    async def committed(self, plans: Sequence[Plan]) -> None:
        self.reached.set()
        await asyncio.Event().wait()


class _Nobody:
    async def publish(self, hints: Sequence[tuple[str, bytes]]) -> None:
        """Tells nobody."""


async def test_a_record_is_committed_told_and_answered_again_when_repeated(log: Log) -> None:
    """The repeat gets the same sequence, message and time, marked as a duplicate."""
    async with log.instance("one") as running:
        await running.until_working()
        await log.put(joined(7, 1, 1))
        await log.put(sent(7, 1, 2), 11)
        first = await log.until_told(11)
        assert (first.disposition, first.sequence) == (DISPOSITION_COMMITTED, 2)
        await log.put(sent(7, 1, 2), 12)
        again = await log.until_told(12)
        assert again.disposition == DISPOSITION_DUPLICATE
        assert (again.sequence, again.message_id, again.create_time) == (
            first.sequence,
            first.message_id,
            first.create_time,
        )


async def test_a_poison_record_is_kept_copied_and_passed_over(log: Log, kafka_bootstrap: str) -> None:
    """Table and topic name its place; the records behind it are committed."""
    async with log.instance("one") as running:
        await log.put(joined(7, 1, 1))
        await log.put_raw(7, b"\xff poison", [("h", b"\x00")])
        await log.put_raw(7, b"x" * 900_000)
        await log.put(sent(7, 1, 2), 11)
        assert (await log.until_told(11, 30)).sequence == 2
        rows = await log.pool.fetch("SELECT * FROM dead_letter ORDER BY record_offset")
        assert [(row["partition"], row["record_offset"]) for row in rows] == [
            (partition_of(7), 1),
            (partition_of(7), 2),
        ]
        assert (rows[0]["key"], rows[0]["value"]) == (b"7", b"\xff poison")
        copy = await first_record(kafka_bootstrap, log.settings.dead_letter_topic)
        assert (copy.key, copy.value) == (b"7", b"\xff poison")
        assert dict(copy.headers)["dead_letter_offset"] == b"1"
        metrics = running.process.metrics.registry
        assert metrics.get_sample_value("polychat_message_records_total", {"disposition": "dead_letter"}) == 2


async def test_rebalances_under_load_lose_and_repeat_nothing(log: Log) -> None:
    """Instances come and go while records keep coming: every room is 1, 2, 3 … in the order sent."""
    begun, done = asyncio.Event(), asyncio.Event()

    async def produce() -> int:
        number = 1000
        for room_id in ROOMS:
            await log.put(joined(room_id, 1, room_id))
        while not done.is_set():
            for room_id in ROOMS:
                number += 1
                await log.put(sent(room_id, 1, number))
            begun.set()
        return number - 1000

    async with log.instance("one") as one:
        await one.until_working()
        producing = asyncio.create_task(produce())
        await begun.wait()
        async with log.instance("two") as two:
            await two.until_working(PARTITIONS // 2)
            await one.until_working(PARTITIONS // 2)
        await one.until_working()
        done.set()
        count = await producing // len(ROOMS)
        for room_id in ROOMS:
            assert await log.until_stored(room_id, count + 1) == list(range(1, count + 2))
    rows = await log.pool.fetch(
        "SELECT message_id - lag(message_id) OVER (PARTITION BY room_id ORDER BY sequence) AS step"
        " FROM message"
    )
    assert {row["step"] for row in rows} == {None, len(ROOMS)}


async def test_who_ends_hands_its_partitions_over_at_once(log: Log) -> None:
    """The others do not wait until the group misses its heartbeats."""
    log.settings.consumer_session_seconds = SLOW_SESSION_SECONDS
    async with log.instance("message-a") as stays:
        await stays.until_working()
        async with log.instance("message-b") as leaves:
            await stays.until_working(PARTITIONS // 2, SLOW_SESSION_SECONDS)
            await leaves.until_working(PARTITIONS // 2)
        await stays.until_working(PARTITIONS, SLOW_SESSION_SECONDS / 2)


async def test_a_kill_between_commit_and_telling_loses_and_repeats_nothing(log: Log) -> None:
    """The next owner goes on behind it; who asks again gets the first result."""
    hints = Silent()
    settings = log.settings
    log.settings = settings.model_copy(update={"drain_seconds": 0.0})
    async with log.instance("one", hints):
        await log.put(joined(7, 1, 1), 11)
        await asyncio.wait_for(hints.reached.wait(), 30)
    log.settings = settings
    assert await log.sequences(7) == [1]
    async with log.instance("two"):
        await log.put(joined(7, 1, 1), 12)
        again = await log.until_told(12, 30)
        assert (again.disposition, again.sequence) == (DISPOSITION_DUPLICATE, 1)
    assert 11 not in log.outcomes.by_correlation
    assert await log.sequences(7) == [1]


async def test_a_log_that_lost_its_records_is_reported_and_gone_on_in(log: Log) -> None:
    """At the first record made after the last commit; nothing older is read, other partitions do not wait."""
    lost = partition_of(7)
    other = next(room_id for room_id in ROOMS if partition_of(room_id) != lost)
    await log.put(joined(7, 2, 1))
    await log.pool.execute("INSERT INTO log_position VALUES ($1, 1000, 4)", lost)
    async with log.instance("one") as running:
        await running.until_working(PARTITIONS - 1)
        await log.put(joined(other, 1, 2), 12)
        await log.until_told(12)
        await log.put(joined(7, 1, 3), 13)

        async def reported() -> str:
            return (await running.process.readiness.problems()).get("room_log", "")

        problem = await eventually(lambda: _containing(reported, "1000 is next"), what="the report")
        assert f"{lost}: the log ends at" in problem
        assert (await log.until_told(13, 30)).sequence == 1
        metrics = running.process.metrics.registry
        assert metrics.get_sample_value("polychat_message_logs_restarted_total") == 1
        assert await eventually(lambda: _healthy(reported), what="readiness")
    assert await log.pool.fetchval("SELECT next_offset FROM log_position WHERE partition = $1", lost) == 2
    assert await log.sequences(7) == [1]


async def test_another_log_that_is_as_long_as_ours_was_is_recognised(log: Log) -> None:
    """The record before the position is another one than was committed."""
    for number in range(1, 5):
        await log.put(joined(7, number, number))
    await log.pool.execute(
        "INSERT INTO log_position VALUES ($1, 2, 4, $2)", partition_of(7), b"fingerprint of another log"
    )
    async with log.instance("one") as running:
        await running.until_working(PARTITIONS - 1)
        assert "is not the one that was committed" in running.consumer.ownership.doubted[partition_of(7)]
        assert await log.sequences(7) == []
        await log.put(joined(7, 5, 5), 15)
        assert (await log.until_told(15, 30)).sequence == 1


async def test_a_locked_table_costs_time_and_nothing_else(log: Log) -> None:
    """Commits that cannot have their rows are tried again until they can."""
    async with log.instance("one") as running:
        await running.until_working()
        await log.put(joined(7, 1, 1), 11)
        await log.until_told(11)
        async with log.pool.acquire() as other, other.transaction():
            await other.execute("LOCK TABLE room_head")
            for number in range(2, 6):
                await log.put(sent(7, 1, number), 20 + number)
            await running.until_working(PARTITIONS - 1)
        told = [await log.until_told(20 + number, 30) for number in range(2, 6)]
        assert [outcome.sequence for outcome in told] == [2, 3, 4, 5]


async def test_lost_connections_to_the_database_lose_and_repeat_nothing(log: Log) -> None:
    """Each commit whose end is not known is looked up in log_position, not done again."""
    async with log.instance("one") as running:
        await running.until_working()
        await log.put(joined(7, 1, 1))
        for number in range(2, 62):
            await log.put(sent(7, 1, number))
            if number % 10 == 0:
                await log.pool.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'one'"
                )
        assert await log.until_stored(7, 61, 40) == list(range(1, 62))


async def test_a_new_client_goes_on_where_the_old_one_stopped(log: Log) -> None:
    """What the watch asks for when records are there and none is fetched."""
    async with log.instance("one") as running:
        await running.until_working()
        await log.put(joined(7, 1, 1), 11)
        await log.until_told(11)
        running.consumer.renew()
        await log.put(sent(7, 1, 2), 12)
        assert (await log.until_told(12, 30)).sequence == 2
        metrics = running.process.metrics.registry

        async def renewed() -> bool:
            return metrics.get_sample_value("polychat_message_consumer_restarts_total") == 1

        await eventually(renewed, what="the new client")
        await running.until_working()


async def _healthy(report: Callable[[], object]) -> bool:
    return not await report()  # type: ignore[misc]


async def _containing(report: Callable[[], object], text: str) -> str:
    said = str(await report())  # type: ignore[misc]
    return said if text in said else ""
