"""Makes and ends aiokafka producers for the room log (room_log.ProducerSource)."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

from chassis.kafka import close, lost_when_closed

START_SECONDS = 10.0
REQUEST_MILLIS = 10_000
BATCH_BYTES = 256 * 1024


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
        """See chassis.kafka.close."""
        await close(producer)
