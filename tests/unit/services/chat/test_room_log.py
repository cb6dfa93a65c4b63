"""The producer loop: order, batches, bounds, and what happens when the client under it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, OutOfOrderSequenceNumber
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.errors import Failure
from chassis.kafka import partition_of
from services.chat import room_log
from services.chat.ports import LogEntry, OutboxEntry
from services.chat.room_log import KafkaRoomLog
from tests.support.chat_world import Time, running, settle
from tests.support.eventually import eventually


def entry(number: int, room_id: int = 7, size: int = 1) -> LogEntry:
    return LogEntry(room_id, 9, number.to_bytes(16, "big"), b"h" * 16, b"e" * size)


class FakeBatch:
    """Takes three records."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes, list[tuple[str, bytes]]]] = []

    def append(self, *, timestamp: int | None, key: bytes, value: bytes, headers: Sequence[Any]) -> object:
        if len(self.records) == 3:
            return None
        self.records.append((key, value, list(headers)))
        return object()


class Broker:
    """What was acknowledged, by partition, and how the next requests end."""

    def __init__(self) -> None:
        self.logs: dict[int, list[int]] = {}
        self.batches: list[int] = []
        self.headers: list[list[tuple[str, bytes]]] = []
        self.failures: list[BaseException | None] = []
        self.lost_answers = 0
        self.frozen = False
        self.in_flight: list[asyncio.Future[None]] = []
        self.opened = self.closed = 0
        self.refusals = 0

    async def open(self) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise KafkaConnectionError("no broker")
        self.opened += 1
        return self

    async def close(self, producer: Any) -> None:
        self.closed += 1

    def create_batch(self) -> Any:
        return FakeBatch()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[None]:
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failure = self.failures.pop(0) if self.failures else None
        if failure is None or self.lost_answers:
            self._store(batch, partition)
        if failure is not None:
            self.lost_answers = max(0, self.lost_answers - 1)
            sent.set_exception(failure)
        elif self.frozen:
            self.in_flight.append(sent)
        else:
            sent.set_result(None)
        return sent

    def thaw(self) -> None:
        self.frozen = False
        for sent in self.in_flight:
            sent.set_result(None)

    def _store(self, batch: FakeBatch, partition: int) -> None:
        self.batches.append(len(batch.records))
        for key, value, headers in batch.records:
            record = LogRecord.FromString(value)
            assert key == str(record.room_id).encode()
            self.logs.setdefault(partition, []).append(int.from_bytes(record.request_id, "big"))
            self.headers.append(headers)


def log_on(broker: Broker, **more: Any) -> KafkaRoomLog:
    async def sleep(_seconds: float) -> None:
        await asyncio.sleep(0)

    return KafkaRoomLog(broker, topic="t", reply_to="chat-1", sleep=sleep, **more)


async def test_entries_are_produced_with_who_waits_for_them() -> None:
    """The headers name the instance and the correlation, eight bytes, big-endian."""
    broker = Broker()
    log = log_on(broker)
    async with running(log.run):
        log.append(entry(1), 258)
        await settle()
    assert broker.logs == {partition_of(7): [1]}
    assert broker.headers == [[("reply_to", b"chat-1"), ("correlation", b"\0\0\0\0\0\0\x01\x02")]]


async def test_what_gathers_during_a_request_leaves_with_the_next() -> None:
    """One request in flight; order is kept over batches that are full."""
    broker = Broker()
    broker.frozen = True
    log = log_on(broker)
    async with running(log.run):
        log.append(entry(1), 1)
        await settle()
        for number in range(2, 8):
            log.append(entry(number), number)
        await settle()
        assert broker.batches == [1]
        broker.thaw()
        await settle(50)
    assert broker.batches == [1, 3, 3]
    assert broker.logs[partition_of(7)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("written", [False, True], ids=["not written", "answer lost"])
async def test_after_a_fatal_error_a_new_producer_sends_the_rest_again_in_order(written: bool) -> None:
    """aiokafka#1017: the old producer would fail for ever. A record may arrive twice, never out of order."""
    broker = Broker()
    broker.failures = [OutOfOrderSequenceNumber()]
    broker.lost_answers = int(written)
    replaced = []
    log = log_on(broker, on_replaced=lambda: replaced.append(1))
    async with running(log.run):
        for number in range(1, 6):
            log.append(entry(number), number)
        await settle(100)
    again = [1, 2, 3] if written else []
    assert broker.logs[partition_of(7)] == [*again, 1, 2, 3, 4, 5]
    assert (broker.opened, len(replaced)) == (2, 1)
    assert broker.closed == broker.opened


async def test_what_became_known_or_was_taken_back_does_not_leave_again() -> None:
    """Behind what is not acknowledged, too: a stale copy could be accepted where the first was refused."""
    broker = Broker()
    broker.failures = [OutOfOrderSequenceNumber()]
    broker.lost_answers = 1
    log = log_on(broker)
    log.append(entry(1), 1)
    log.append(entry(2), 2)
    taken_back = asyncio.ensure_future(log.append_all([OutboxEntry(5, entry(5), "chat-2", 5)]))
    await settle()

    async def sleep(_seconds: float) -> None:
        assert not log.settle(2, known=True)
        taken_back.cancel()
        await asyncio.sleep(0)

    log._sleep = sleep
    async with running(log.run):
        log.append(entry(3), 3)
        await settle(100)
    assert broker.logs[partition_of(7)] == [1, 2, 5, 1, 3]


@pytest.mark.parametrize("lost", [0, 1])
async def test_an_entry_that_left_twice_may_be_there_twice(lost: int) -> None:
    """Who waits for it is told so, once."""
    broker = Broker()
    broker.failures = [OutOfOrderSequenceNumber()] * lost
    log = log_on(broker)
    async with running(log.run):
        log.append(entry(1), 1)
        await settle(100)
    assert log.settle(1, known=True) is bool(lost)
    assert log.settle(1, known=True) is False


async def test_one_failed_partition_does_not_repeat_the_others() -> None:
    """What the same round had acknowledged is gone from the buffer."""
    broker = Broker()
    log = log_on(broker)
    other = next(room_id for room_id in range(8, 100) if partition_of(room_id) != partition_of(7))
    async with running(log.run):
        await settle()
        broker.failures = [None, OutOfOrderSequenceNumber()]
        log.append(entry(1, 7), 1)
        log.append(entry(2, other), 2)
        await settle(100)
    assert broker.logs == {partition_of(7): [1], partition_of(other): [2]}


async def test_it_connects_when_the_broker_comes() -> None:
    """Until then it is not ready, and entries wait."""
    broker = Broker()
    broker.refusals = 3
    log = log_on(broker)
    log.append(entry(1), 1)
    assert log.problem() is not None
    async with running(log.run):
        await settle(50)
        assert log.problem() is None
    assert broker.logs == {partition_of(7): [1]}
    assert log.problem() is not None


async def test_a_broker_that_acknowledges_nothing_makes_the_process_unready() -> None:
    """The connection may stand all the while; with the first acknowledgement it is ready again."""
    broker, time = Broker(), Time()
    broker.frozen = True
    log = log_on(broker, clock=time)
    async with running(log.run):
        log.append(entry(1), 1)
        await settle()
        assert log.problem() is None
        time.now += 6
        assert log.problem() is not None
        broker.thaw()
        await settle()
        assert log.problem() is None


async def test_a_producer_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka retries without end; a round is given up after a while."""
    monkeypatch.setattr(room_log, "ROUND_SECONDS", 0.01)
    broker = Broker()
    broker.frozen = True
    log = log_on(broker)
    async with running(log.run):
        log.append(entry(1), 1)
        await eventually(lambda: _true(broker.opened > 1))
        broker.frozen = False
        await eventually(lambda: _true(log._records == 0))
    assert set(broker.logs[partition_of(7)]) == {1}


async def _true(value: bool) -> bool:
    return value


async def test_the_buffer_is_bounded_in_records_and_bytes() -> None:
    """The next entry is refused as OVERLOADED, a too large one as INVALID_ARGUMENT, and room comes back."""
    broker = Broker()
    log = log_on(broker, max_records=2, max_bytes=2_000_000)
    log.append(entry(1), 1)
    log.append(entry(2), 2)
    with pytest.raises(Failure) as raised:
        log.append(entry(3), 3)
    assert raised.value.reason == "OVERLOADED"
    async with running(log.run):
        await settle(50)
        log.append(entry(3, size=800_000), 3)
        log.append(entry(4), 4)
        await settle(50)
        with pytest.raises(Failure) as raised:
            log.append(entry(5, size=900_000), 5)
        assert raised.value.code == "INVALID_ARGUMENT"
    small = log_on(broker, max_bytes=100)
    with pytest.raises(Failure) as raised:
        small.append(entry(6, size=100), 6)
    assert raised.value.reason == "OVERLOADED"


def row(number: int) -> OutboxEntry:
    return OutboxEntry(number, entry(number), "chat-9", number)


async def test_outbox_rows_are_through_when_acknowledged() -> None:
    """They carry the instance that wrote them, and the call returns after the broker's answer."""
    broker = Broker()
    broker.frozen = True
    log = log_on(broker)
    async with running(log.run):
        moving = asyncio.ensure_future(log.append_all([row(1), row(2)]))
        await settle()
        assert not moving.done()
        broker.thaw()
        await moving
    assert broker.logs[partition_of(7)] == [1, 2]
    assert broker.headers[0][0] == ("reply_to", b"chat-9")


async def test_rows_that_were_given_up_do_not_pile_up() -> None:
    """While the broker is away the sweep tries again and again: what it gave up is taken back."""
    broker = Broker()
    log = log_on(broker)
    for _ in range(5):
        moving = asyncio.ensure_future(log.append_all([row(1)]))
        await settle()
        moving.cancel()
        await asyncio.wait([moving])
    log.append(entry(2), 2)
    async with running(log.run):
        await settle(50)
    assert broker.logs[partition_of(7)] == [2]
