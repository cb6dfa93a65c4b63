"""What a subscriber keeps and gives back over many connections and changes, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chassis.redis import Publisher, Subscriber, open_redis
from tests.support.door import door_to
from tests.support.eventually import eventually

PREFIX = "test:subscriber:"


class Heard:
    """A subscriber's events as queues."""

    def __init__(self, url: str) -> None:
        self.messages: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.connections: asyncio.Queue[None] = asyncio.Queue()
        self.subscriber = Subscriber(
            url, lambda c, p: self.messages.put_nowait((c, p)), lambda: self.connections.put_nowait(None)
        )

    async def connected(self) -> None:
        await asyncio.wait_for(self.connections.get(), 10)


@asynccontextmanager
async def running(url: str, *channels: str) -> AsyncIterator[Heard]:
    """Connected, with these channels."""
    heard = Heard(url)
    heard.subscriber.subscribe(channels)
    task = asyncio.create_task(heard.subscriber.run())
    try:
        await heard.connected()
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])


async def links(url: str) -> int:
    """How many subscribing connections the server has whose channels are of this file."""
    async with open_redis(url) as client:
        channels = await client.pubsub_channels(PREFIX + "*")
        counts = [count for _, count in await client.pubsub_numsub(*channels)] if channels else [0]
        return max(counts)


async def linked(url: str, count: int) -> None:
    """Waits until it is this many."""

    async def reached() -> bool:
        return await links(url) == count

    await eventually(reached, what=f"{count} subscribing connections")


async def cut(url: str) -> None:
    """Ends every subscribing connection of the server."""
    async with open_redis(url) as client:
        await client.client_kill_filter(_type="pubsub")


async def test_connected_means_subscribed(redis_url: str) -> None:
    """At `on_connect` the server has taken all channels, 1,200 here: what is read after it misses nothing."""
    names = [f"{PREFIX}{number}" for number in range(1200)]
    async with running(redis_url, *names), open_redis(redis_url) as client:
        assert len(await client.pubsub_channels(PREFIX + "*")) == 1200


async def test_a_sent_subscription_is_not_one_in_force(redis_url: str) -> None:
    """Nobody is told of a connection before the server has confirmed its channels."""
    async with door_to(redis_url) as (door, through):
        door.mute(b"subscribe")
        heard = Heard(through)
        heard.subscriber.subscribe([PREFIX + "a"])
        task = asyncio.create_task(heard.subscriber.run())
        await linked(redis_url, 1)
        assert heard.connections.empty()
        door.open()
        await heard.connected()
        task.cancel()
        await asyncio.wait([task])


async def test_no_connection_is_left_behind(redis_url: str) -> None:
    """Cut three times it holds one link; cancelled it holds none."""
    async with running(redis_url, PREFIX + "a") as heard:
        for _ in range(3):
            await cut(redis_url)
            await heard.connected()
        assert await links(redis_url) == 1
    await linked(redis_url, 0)


async def test_changes_without_a_connection_are_kept_as_a_set(redis_url: str) -> None:
    """A long outage with many comings and goings costs no memory, and its end state is what counts."""
    heard = Heard("redis://127.0.0.1:1/0")
    for number in range(1000):
        heard.subscriber.subscribe([f"{PREFIX}{number}"])
        heard.subscriber.unsubscribe([f"{PREFIX}{number}"])
    heard.subscriber.subscribe([PREFIX + "left"])
    assert heard.subscriber._todo == {}
    heard.subscriber._url = redis_url
    task = asyncio.create_task(heard.subscriber.run())
    await heard.connected()
    async with open_redis(redis_url) as client:
        assert await client.pubsub_channels(PREFIX + "*") == [(PREFIX + "left").encode()]
    task.cancel()
    await asyncio.wait([task])


async def test_the_last_wish_counts(redis_url: str) -> None:
    """Off and on again before anything was sent, and on and off again."""
    async with running(redis_url, PREFIX + "a") as heard, open_redis(redis_url) as client:
        heard.subscriber.unsubscribe([PREFIX + "a"])
        heard.subscriber.subscribe([PREFIX + "a", PREFIX + "b", PREFIX + "c"])
        heard.subscriber.unsubscribe([PREFIX + "b"])

        async def settled() -> bool:
            found = await client.pubsub_channels(PREFIX + "*")
            return sorted(found) == [(PREFIX + "a").encode(), (PREFIX + "c").encode()]

        await eventually(settled, what="channels a and c")


async def test_without_any_channel_it_stays_connected(redis_url: str) -> None:
    """The last channel taken out, then one added: the same connection goes on."""
    async with running(redis_url, PREFIX + "a") as heard:
        heard.subscriber.unsubscribe([PREFIX + "a"])
        await linked(redis_url, 0)
        heard.subscriber.subscribe([PREFIX + "z"])
        await linked(redis_url, 1)
        publisher = Publisher(redis_url)
        await publisher.publish([(PREFIX + "z", b"1")])
        assert await asyncio.wait_for(heard.messages.get(), 10) == (PREFIX + "z", b"1")
        assert heard.connections.empty()
        await publisher.close()


async def test_a_bug_in_a_receiver_ends_it(redis_url: str) -> None:
    """It is not taken for a lost connection and retried for ever."""

    def broken(_channel: str, _payload: bytes) -> None:
        raise LookupError("a bug")

    connected = asyncio.Event()
    subscriber = Subscriber(redis_url, broken, connected.set)
    subscriber.subscribe([PREFIX + "a"])
    task = asyncio.create_task(subscriber.run())
    await asyncio.wait_for(connected.wait(), 10)
    publisher = Publisher(redis_url)
    await publisher.publish([(PREFIX + "a", b"1")])
    with pytest.raises(ExceptionGroup, match="unhandled") as caught:
        await asyncio.wait_for(task, 10)
    assert caught.group_contains(LookupError)
    await publisher.close()
