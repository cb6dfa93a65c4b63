"""The way into `room-log`: an idempotent Kafka producer that is replaced when it breaks (ports.RoomLog).

Records stay in our buffer, in order, until the broker has acknowledged them. What gathers while a
request is in flight leaves with the next. After a failure that the client cannot mend (it may answer
OutOfOrderSequenceNumber for ever, aio-libs/aiokafka#1017) a new producer sends everything that was not
acknowledged again, in the same order; records that arrive twice are one event (I2).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka.errors import KafkaConnectionError, KafkaError
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis import failpoints, logs
from chassis.closed import closed_is_lost
from chassis.errors import InvalidField, Overloaded
from chassis.kafka import key_of, partition_of
from services.chat.ports import Clock, LogEntry, OutboxEntry

MAX_RECORD_BYTES = 900_000
"""Below the broker's default `max.message.bytes` with room for the batch around it."""
MAX_BUFFERED_RECORDS = 50_000
MAX_BUFFERED_BYTES = 64 * 1024 * 1024
ROUND_SECONDS = 30.0
"""A round that takes longer is given up with its producer. aiokafka itself retries without end."""
SLOW_SECONDS = 5.0
"""After so long without an acknowledgement the process says that it is not ready."""
RETRY_SECONDS = (0.2, 5.0)
"""Pause before a new producer, after the first failure and at most."""

log = logs.get("chat")


class Batch(Protocol):
    """Of aiokafka's BatchBuilder what is used here."""

    def append(self, *, timestamp: int | None, key: bytes, value: bytes, headers: Sequence[Any]) -> object:
        """Adds a record; None when it is full."""


class Producer(Protocol):
    """Of aiokafka's producer what is used here."""

    def create_batch(self) -> Batch:
        """An empty batch."""

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        """Queues the batch; the future ends when it is acknowledged."""


class ProducerSource(Protocol):
    """Makes producers and ends them."""

    async def open(self) -> Producer:
        """A producer that is connected. Raises KafkaError, OSError, TimeoutError."""

    async def close(self, producer: Any) -> None:
        """Ends one, also when it is stuck; never raises."""


@dataclass(slots=True)
class _Record:
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    acknowledged: asyncio.Future[None] | None
    tries: int = 0
    """As many requests it has been in; of all but the last it is not known whether they were stored."""
    settled: bool = False

    @property
    def needless(self) -> bool:
        """Nobody wants it to be in the log any more, or it is already."""
        return self.settled or (self.acknowledged is not None and self.acknowledged.cancelled())


class KafkaRoomLog:
    """Appends entries; `run` is the one loop that produces them."""

    def __init__(
        self,
        source: ProducerSource,
        *,
        topic: str,
        reply_to: str,
        pace_seconds: float = 0.0,
        on_replaced: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Clock = time.monotonic,
        max_records: int = MAX_BUFFERED_RECORDS,
        max_bytes: int = MAX_BUFFERED_BYTES,
    ) -> None:
        self._source = source
        self._topic = topic
        self._reply_to = reply_to
        self._pace = pace_seconds
        self._on_replaced = on_replaced
        self._sleep = sleep
        self._clock = clock
        self._round_since: float | None = None
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._buffers: defaultdict[int, deque[_Record]] = defaultdict(deque)
        self._records = 0
        self._bytes = 0
        self._waited_for: dict[int, _Record] = {}
        """Entries of this instance by correlation."""
        self._wake = asyncio.Event()
        self.connected = False

    def problem(self) -> str | None:
        """For readiness."""
        if not self.connected:
            return "not connected to kafka"
        if self._round_since is not None and self._clock() - self._round_since > SLOW_SECONDS:
            return f"kafka has acknowledged nothing for {SLOW_SECONDS:.0f} s"
        return None

    def append(self, entry: LogEntry, correlation: int) -> None:
        """Takes an entry of this instance. Raises Overloaded, InvalidField."""
        self._waited_for[correlation] = self._put(entry, self._reply_to, correlation, None)

    def settle(self, correlation: int, *, known: bool) -> bool:
        """See ports.RoomLog."""
        record = self._waited_for.pop(correlation, None)
        if record is None:
            return False
        record.settled = known
        return record.tries > 1

    async def append_all(self, rows: Sequence[OutboxEntry]) -> None:
        """Returns when all are acknowledged. Cancelled, it takes back what has not left yet."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[None]] = []
        try:
            for row in rows:
                futures.append(loop.create_future())
                self._put(row.entry, row.reply_to, row.correlation, futures[-1])
            for future in futures:
                await future
        finally:
            for future in futures:
                future.cancel()

    async def run(self) -> None:
        """Produces until cancelled; connects anew for ever."""
        pause = RETRY_SECONDS[0]
        while True:
            try:
                with closed_is_lost():
                    producer = await self._source.open()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("producer_not_connected", error=repr(error))
                await self._sleep(pause)
                pause = min(2 * pause, RETRY_SECONDS[1])
                continue
            try:
                self.connected = True
                with closed_is_lost():
                    await self._produce(producer)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("producer_replaced", error=repr(error), waiting=self._records)
            finally:
                self.connected, self._round_since = False, None
                await self._source.close(producer)
            self._on_replaced()
            await self._sleep(pause)
            pause = RETRY_SECONDS[0]

    def _put(
        self, entry: LogEntry, reply_to: str, correlation: int, acknowledged: asyncio.Future[None] | None
    ) -> _Record:
        value = LogRecord(
            room_id=entry.room_id,
            sender_user_id=entry.sender_user_id,
            request_id=entry.request_key,
            body_hash=entry.body_hash,
            event=entry.event,
        ).SerializeToString()
        if len(value) > MAX_RECORD_BYTES:
            raise InvalidField("request", f"the event must have at most {MAX_RECORD_BYTES} bytes")
        if self._records >= self._max_records or self._bytes + len(value) > self._max_bytes:
            raise Overloaded(retry_after=1.0)
        headers = [("reply_to", reply_to.encode()), ("correlation", correlation.to_bytes(8, "big"))]
        record = _Record(key_of(entry.room_id), value, headers, acknowledged)
        self._keep(self._buffers[partition_of(entry.room_id)], record)
        self._wake.set()
        return record

    async def _produce(self, producer: Producer) -> None:
        if self._records:
            self._wake.set()  # what the producer before this one did not get acknowledged
        while True:
            await self._wake.wait()
            if self._pace:
                await self._sleep(self._pace)
            self._wake.clear()
            self._round_since = self._clock()
            await self._round(producer)
            self._round_since = None
            if self._records:
                self._wake.set()

    async def _round(self, producer: Producer) -> None:
        """One request in flight: a batch of every partition that has something.

        Raises what a batch failed with; its records stay at the front of their buffer.
        """
        await failpoints.reach("chat.before_produce", KafkaConnectionError)
        async with asyncio.timeout(ROUND_SECONDS):
            flights = []
            for partition in [p for p, buffer in self._buffers.items() if buffer]:
                batch, count = self._fill(producer, self._buffers[partition])
                if count:
                    sent = await producer.send_batch(batch, self._topic, partition=partition)
                    flights.append((partition, count, sent))
            if flights:
                await asyncio.wait([sent for _, _, sent in flights])
        await failpoints.reach("chat.after_produce", KafkaConnectionError)
        failed: BaseException | None = None
        for partition, count, sent in flights:
            if (error := sent.exception()) is None:
                self._acknowledge(self._buffers[partition], count)
            else:
                failed = error
        if failed is not None:
            raise failed

    def _fill(self, producer: Producer, buffer: deque[_Record]) -> tuple[Batch, int]:
        for _ in range(len(buffer) if any(record.needless for record in buffer) else 0):
            record = self._drop(buffer)
            if not record.needless:
                self._keep(buffer, record)
        batch, count = producer.create_batch(), 0
        for record in buffer:
            if (
                batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
                is None
            ):
                break
            record.tries += 1
            count += 1
        return batch, count

    def _acknowledge(self, buffer: deque[_Record], count: int) -> None:
        for _ in range(count):
            record = self._drop(buffer)
            if record.acknowledged is not None and not record.acknowledged.done():
                record.acknowledged.set_result(None)

    def _keep(self, buffer: deque[_Record], record: _Record) -> None:
        buffer.append(record)
        self._records += 1
        self._bytes += len(record.value)

    def _drop(self, buffer: deque[_Record]) -> _Record:
        record = buffer.popleft()
        self._records -= 1
        self._bytes -= len(record.value)
        return record
