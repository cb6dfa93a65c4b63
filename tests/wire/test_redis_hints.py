"""Publishing and receiving hints on a real Redis, through cut connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.errors import BackendUnavailable
from chassis.redis import Publisher, Subscriber, open_redis
from tests.support.eventually import eventually


class Listener:
    """A subscriber with what it heard."""

    def __init__(self, url: str) -> None:
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.connections: asyncio.Queue[None] = asyncio.Queue()
        self.subscriber = Subscriber(
            url, lambda c, p: self.heard.put_nowait((c, p)), lambda: self.connections.put_nowait(None)
        )

    async def next(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.heard.get(), 10)

    async def connected(self) -> None:
        await asyncio.wait_for(self.connections.get(), 10)


@pytest.fixture
async def listener(redis_url: str) -> AsyncIterator[Listener]:
    listener = Listener(redis_url)
    listener.subscriber.subscribe(["test:a"])
    task = asyncio.create_task(listener.subscriber.run())
    await listener.connected()
    yield listener
    task.cancel()


@pytest.fixture
async def publisher(redis_url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(redis_url)
    yield publisher
    await publisher.close()


async def listeners(redis_url: str, channel: str, count: int) -> None:
    """Waits until the channel has this many listeners."""
    async with open_redis(redis_url) as client:

        async def reached() -> bool:
            return bool((await client.pubsub_numsub(channel))[0][1] == count)

        await eventually(reached, what=f"{count} listeners")


async def test_a_batch_arrives_in_order(listener: Listener, publisher: Publisher) -> None:
    """One pipeline, binary payloads, in the order they were given."""
    await publisher.publish([("test:a", b"\x00\xff"), ("test:a", b"2")])
    assert [await listener.next(), await listener.next()] == [("test:a", b"\x00\xff"), ("test:a", b"2")]


async def test_channels_come_and_go_while_it_listens(
    listener: Listener, publisher: Publisher, redis_url: str
) -> None:
    """A channel added later is heard; one taken out is not."""
    listener.subscriber.subscribe(["test:b"])
    await listeners(redis_url, "test:b", 1)
    await publisher.publish([("test:b", b"1")])
    assert await listener.next() == ("test:b", b"1")
    listener.subscriber.unsubscribe(["test:b"])
    await listeners(redis_url, "test:b", 0)
    await publisher.publish([("test:b", b"2"), ("test:a", b"3")])
    assert await listener.next() == ("test:a", b"3")


async def test_a_cut_connection_is_made_anew_and_told(
    listener: Listener, publisher: Publisher, redis_url: str
) -> None:
    """After the server drops the subscriber all its channels come back, and `on_connect` says so."""
    listener.subscriber.subscribe(["test:c"])
    await listeners(redis_url, "test:c", 1)
    async with open_redis(redis_url) as client:
        await client.client_kill_filter(_type="pubsub")
    await listener.connected()
    await publisher.publish([("test:a", b"1"), ("test:c", b"2")])
    assert {await listener.next(), await listener.next()} == {("test:a", b"1"), ("test:c", b"2")}


async def test_publishing_to_nobody_answers_soon() -> None:
    """A Redis that is not there costs a bounded time and a BackendUnavailable, never a hang."""
    publisher = Publisher("redis://127.0.0.1:1/0")
    async with asyncio.timeout(3):
        with pytest.raises(BackendUnavailable):
            await publisher.publish([("test:a", b"1")])
    await publisher.close()
