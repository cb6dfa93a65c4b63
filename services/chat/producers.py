"""Makes and ends aiokafka producers for the room log (room_log.ProducerSource)."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from chassis import logs
from chassis.kafka import lost_when_closed

START_SECONDS = 10.0
CLOSE_SECONDS = 2.0
REQUEST_MILLIS = 10_000
BATCH_BYTES = 256 * 1024

log = logs.get("chat")


class KafkaProducers:
    """Idempotent producers that wait for all in-sync replicas and never linger."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id

    async def open(self) -> AIOKafkaProducer:
        """A connected producer. Raises KafkaError, OSError, TimeoutError."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_MILLIS,
            retry_backoff_ms=100,
        )
        lost_when_closed(producer.client)
        try:
            await asyncio.wait_for(producer.start(), START_SECONDS)
        except BaseException:
            await self.close(producer)
            raise
        return producer

    async def close(self, producer: AIOKafkaProducer) -> None:
        """Ends a producer. One that is stuck would flush without end: its connections are cut instead."""
        try:
            await asyncio.wait_for(producer.stop(), CLOSE_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("producer_cut", error=repr(error))
            await producer.client.close()
            _cut(producer)


def _cut(producer: AIOKafkaProducer) -> None:
    sender = producer._sender.sender_task  # noqa: SLF001 — stop() is the only public way, and it waits
    if sender is not None:
        sender.cancel()
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 — frees who waits for a flush
