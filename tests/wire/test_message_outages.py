"""The sequencer while PostgreSQL or Redis is away, or takes a commit and never answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from polychat.internal.log.v1.record_pb2 import DISPOSITION_DUPLICATE, HeadsHint
from pydantic import SecretStr

from chassis.redis import HEADS, Subscriber
from chassis.telemetry import Metrics
from services.message.dead_letters import DeadLetterTopic
from services.message.domain import Raw, Unreadable
from services.message.measures import Measures
from tests.support.door import door_to
from tests.support.eventually import eventually
from tests.support.message_instances import Log, Running, open_log
from tests.support.room_log import joined, sent

ROOM = 7


@pytest.fixture
async def log(
    postgres_dsn: Callable[[str], str], kafka_bootstrap: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Log]:
    """Topics and a database of this test's own."""
    async with open_log(postgres_dsn("message"), kafka_bootstrap, redis_url, tmp_path) as made:
        yield made


async def until_some_wait(running: Running) -> None:
    """Waits until a partition was set aside."""

    async def waiting() -> bool:
        return running.consumer.ownership.working != running.consumer.ownership.assigned

    await eventually(waiting, seconds=20, what="a partition set aside")


async def test_records_wait_in_the_log_while_postgres_is_away(log: Log) -> None:
    """Nothing is answered meanwhile; afterwards everything is, in order and once."""
    async with door_to(log.settings.postgres_dsn.get_secret_value()) as (door, dsn):
        log.settings = log.settings.model_copy(update={"postgres_dsn": SecretStr(dsn)})
        async with log.instance("one") as running:
            await running.until_working()
            await log.put(joined(ROOM, 1, 1), 1)
            await log.until_told(1)
            door.shut()
            for number in range(2, 42):
                await log.put(sent(ROOM, 1, number), number)
            await until_some_wait(running)
            assert await log.sequences(ROOM) == [1]
            assert list(log.outcomes.by_correlation) == [1]
            door.open()
            assert [(await log.until_told(number, 30)).sequence for number in range(2, 42)] == list(
                range(2, 42)
            )
            assert await log.sequences(ROOM) == list(range(1, 42))


async def test_a_commit_without_an_answer_is_neither_lost_nor_done_again(log: Log) -> None:
    """PostgreSQL has the rows and nobody was told: the position says so, and a repeat is a duplicate."""
    async with door_to(log.settings.postgres_dsn.get_secret_value()) as (door, dsn):
        log.settings = log.settings.model_copy(update={"postgres_dsn": SecretStr(dsn)})
        async with log.instance("one") as running:
            await running.until_working()
            await log.put(joined(ROOM, 1, 1), 1)
            await log.until_told(1)
            door.mute()
            await log.put(sent(ROOM, 1, 2), 2)
            assert await log.until_stored(ROOM, 2) == [1, 2]
            await until_some_wait(running)
            door.open()
            await running.until_working()
            await log.put(sent(ROOM, 1, 2), 3)
            await log.put(sent(ROOM, 1, 3), 4)
            repeat = await log.until_told(3)
            assert (repeat.disposition, repeat.sequence) == (DISPOSITION_DUPLICATE, 2)
            assert (await log.until_told(4)).sequence == 3
            assert 2 not in log.outcomes.by_correlation
            registry = running.process.metrics.registry
            assert registry.get_sample_value("polychat_message_partitions_fenced_total") == 0


class Unanswered(AIOKafkaProducer):  # type: ignore[misc] # the library is not typed
    """A producer whose broker goes once it is connected: what is sent waits for ever."""

    sent: asyncio.Event

    async def start(self) -> None:
        """See AIOKafkaProducer."""
        await super().start()

        async def send(*_arguments: object, **_options: object) -> None:
            self.sent.set()
            await asyncio.Event().wait()

        self.client.send = send


async def test_the_end_does_not_wait_for_a_dead_letter_that_kafka_does_not_take(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has it; a process that is told to end while Kafka is away ends."""
    monkeypatch.setattr("services.message.dead_letters.AIOKafkaProducer", Unanswered)
    Unanswered.sent = asyncio.Event()
    measures = Measures(Metrics("message"))
    letters = DeadLetterTopic(log.settings, measures)
    letters.offer([Unreadable(0, 1, Raw(b"7", b"?"), "no record")])
    running = asyncio.create_task(letters.run())
    async with asyncio.timeout(20):
        await Unanswered.sent.wait()
    running.cancel()
    ended, _ = await asyncio.wait([running], timeout=5)
    assert running in ended
    assert measures.dead_letter_copies_lost._value.get() == 1


async def test_commits_go_on_while_redis_is_away_and_the_heads_are_told_afterwards(
    log: Log, redis_url: str
) -> None:
    """Hints are lost, messages are not, and within seconds everybody knows what to fetch."""
    heads: dict[int, int] = {}

    def hear(_channel: str, payload: bytes) -> None:
        for part in HeadsHint.FromString(payload).partitions:
            heads.update({head.room_id: head.head_sequence for head in part.heads})

    listener = Subscriber(redis_url, hear, lambda: None)
    listener.subscribe([HEADS])
    listening = asyncio.create_task(listener.run())
    room_id = 900_000_000_000 + hash(log.settings.room_log_topic) % 1_000_000
    async with door_to(redis_url) as (door, url):
        log.settings = log.settings.model_copy(update={"redis_url": SecretStr(url)})
        async with log.instance("one") as running:
            await running.until_working()
            door.shut()
            await log.put(joined(room_id, 1, 1), 1)
            for number in range(2, 22):
                await log.put(sent(room_id, 1, number), number)
            assert await log.until_stored(room_id, 21, 5) == list(range(1, 22))
            door.open()

            async def told() -> bool:
                return heads.get(room_id) == 21

            await eventually(told, seconds=10, what="the head of the room")
    listening.cancel()
