"""Copies of unreadable records on a topic of their own. The table has them already; this may fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis import logs
from chassis.closed import closed_is_lost
from chassis.kafka import close, lost_when_closed
from services.message.config import MessageSettings
from services.message.domain import Unreadable
from services.message.measures import Measures

MAX_WAITING = 1000
RESTART_SECONDS = 5.0
MAX_REQUEST_BYTES = 4 * 1024 * 1024

log = logs.get("message")


class DeadLetterTopic:
    """Produces copies in the background, each with why and whence in its headers."""

    def __init__(self, settings: MessageSettings, measures: Measures) -> None:
        self._settings = settings
        self._measures = measures
        self._waiting: asyncio.Queue[Unreadable] = asyncio.Queue(MAX_WAITING)

    def offer(self, letters: Iterable[Unreadable]) -> None:
        """Takes copies as long as there is room; what does not fit stays in the table only."""
        for letter in letters:
            try:
                self._waiting.put_nowait(letter)
            except asyncio.QueueFull:
                self._measures.dead_letter_copies_lost.inc()

    async def run(self) -> None:
        """Produces what waits, with a new producer after a failure; ends only when cancelled."""
        while True:
            letter = await self._waiting.get()
            try:
                with closed_is_lost():
                    await self._produce_from(letter)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("dead_letter_producer_lost", error=type(error).__name__)
                await asyncio.sleep(RESTART_SECONDS)

    async def _produce_from(self, letter: Unreadable) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            acks="all",
            enable_idempotence=True,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=10_000,
        )
        lost_when_closed(producer.client)
        try:
            await producer.start()
            while True:
                await self._produce(producer, letter)
                letter = await self._waiting.get()
        except BaseException:
            self._measures.dead_letter_copies_lost.inc()
            raise
        finally:
            await close(producer)

    async def _produce(self, producer: AIOKafkaProducer, letter: Unreadable) -> None:
        await producer.send_and_wait(
            self._settings.dead_letter_topic,
            letter.raw.value,
            key=letter.raw.key,
            headers=[
                *letter.raw.headers,
                ("dead_letter_reason", letter.reason.encode()),
                ("dead_letter_partition", str(letter.partition).encode()),
                ("dead_letter_offset", str(letter.offset).encode()),
            ],
        )
