"""Hints over Redis pub/sub: losing one costs latency, never a message.

`Publisher` gives up after half a second, so that nothing waits for Redis; `Subscriber` keeps its
channels over lost connections and says when one was made anew, because hints were missed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chassis import logs
from chassis.closed import closed_is_lost
from chassis.errors import BackendUnavailable
from chassis.keepalive import KEEPALIVE

HEADS = "polychat:heads"
MEMBERSHIP = "polychat:membership"
SESSIONS = "polychat:sessions"

PUBLISH_SECONDS = 0.5
PING_SECONDS = 3.0
"""A subscriber that heard nothing this long asks the server whether the link still stands, and as much
later without an answer gives it up.
"""
_BACKOFF_SECONDS = (0.1, 2.0)
_SUBSCRIBE_CHUNK = 500
_SUBSCRIBE_SECONDS = 5.0
_NO_RETRY = Retry(NoBackoff(), 0)
"""The library would reconnect without a word; we must know, because hints were missed."""

log = logs.get("redis")


def room_channel(room_id: int) -> str:
    """Where message publishes the events of a room."""
    return f"polychat:room:{room_id}"


def chat_channel(instance: str) -> str:
    """Where message publishes the outcomes that one chat instance waits for."""
    return f"polychat:chat:{instance}"


class _Connection(redis.asyncio.Connection):
    """The library ends a connection that cannot be written to; here it says so with its own error, too."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            with closed_is_lost():
                await super().send_packed_command(command, check_health)
        except ConnectionResetError as error:
            raise redis.exceptions.ConnectionError(str(error)) from error


def open_redis(url: str) -> redis.asyncio.Redis:
    """A client whose every wait is bounded: 1 s to connect, 0.5 s a command, no retries inside."""
    return redis.asyncio.Redis.from_url(
        url,
        connection_class=_Connection,
        socket_connect_timeout=1.0,
        socket_timeout=PUBLISH_SECONDS,
        socket_keepalive=True,
        socket_keepalive_options=KEEPALIVE,
        protocol=3,
        retry=_NO_RETRY,
    )


class Publisher:
    """Publishes batches of hints, each batch in one round trip."""

    def __init__(self, url: str) -> None:
        self._client = open_redis(url)

    async def publish(self, hints: Sequence[tuple[str, bytes]]) -> None:
        """Sends all in one pipeline. Raises BackendUnavailable when Redis does not take them in time."""
        if not hints:
            return
        pipeline = self._client.pipeline(transaction=False)
        for channel, payload in hints:
            pipeline.publish(channel, payload)
        try:
            await asyncio.wait_for(pipeline.execute(), PUBLISH_SECONDS)
        except (RedisError, OSError, TimeoutError) as error:
            raise BackendUnavailable("redis") from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


class Subscriber:
    """One pub/sub connection that listens to a changing set of channels, for ever.

    `on_message(channel, payload)` and `on_connect()` are plain functions and must not block;
    `on_connect` is called after every connection, once all channels of that moment are subscribed.
    """

    def __init__(
        self, url: str, on_message: Callable[[str, bytes], None], on_connect: Callable[[], None]
    ) -> None:
        self._url = url
        self._on_message = on_message
        self._on_connect = on_connect
        self._channels: set[str] = set()
        self._todo: dict[str, bool] = {}
        self._wake = asyncio.Event()
        self._linked = False
        self.connected = False

    def problem(self) -> str | None:
        """For readiness: None while hints arrive."""
        return None if self.connected else "redis does not answer; what it would hint at is asked for"

    def subscribe(self, channels: Iterable[str]) -> None:
        """Adds channels; takes effect soon and lasts over reconnects."""
        self._change(channels, True)

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Takes channels out again."""
        self._change(channels, False)

    async def run(self) -> None:
        """Connects, listens, connects anew; ends only when cancelled."""
        delay = _BACKOFF_SECONDS[0]
        while True:
            try:
                await self._listen()
            except* (RedisError, OSError, TimeoutError) as errors:
                log.warning("redis_subscription_lost", error=type(errors.exceptions[0]).__name__)
            if self.connected:
                delay = _BACKOFF_SECONDS[0]
            self.connected = self._linked = False
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 — jitter, not a secret
            delay = min(delay * 2, _BACKOFF_SECONDS[1])

    def _change(self, channels: Iterable[str], wanted: bool) -> None:
        for channel in channels:
            (self._channels.add if wanted else self._channels.discard)(channel)
            if self._linked:  # else the next connection starts from the whole set
                self._todo[channel] = wanted
        if self._todo:
            self._wake.set()

    async def _listen(self) -> None:
        client = redis.asyncio.Redis.from_url(
            self._url,
            connection_class=_Connection,
            socket_connect_timeout=1.0,
            socket_timeout=None,
            socket_keepalive=True,
            socket_keepalive_options=KEEPALIVE,
            protocol=3,
            retry=_NO_RETRY,
        )
        async with client, client.pubsub() as pubsub:
            self._todo.clear()
            self._linked = True
            channels = sorted(self._channels)
            await asyncio.wait_for(pubsub.connect(), _SUBSCRIBE_SECONDS)
            for chunk in _chunks(channels):
                async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                    await pubsub.subscribe(*chunk)
                    await self._confirmed(pubsub, len(chunk))
            self.connected = True
            self._on_connect()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(pubsub))
                tasks.create_task(self._write(pubsub))

    async def _confirmed(self, pubsub: Any, count: int) -> None:
        """Waits until the server has taken this many subscriptions; what is sent is not yet in force."""
        while count:
            message = await pubsub.get_message(timeout=_SUBSCRIBE_SECONDS)
            if message is not None:
                count -= message["type"] == "subscribe"
                self._take(message)

    def _take(self, message: Any) -> None:
        if message["type"] == "message":
            self._on_message(message["channel"].decode(), message["data"])

    async def _read(self, pubsub: Any) -> None:
        silent = 0
        while silent < 2:
            message = await pubsub.get_message(ignore_subscribe_messages=False, timeout=PING_SECONDS)
            if message is None:
                silent += 1
                await asyncio.wait_for(pubsub.ping(), PUBLISH_SECONDS)
                continue
            silent = 0
            self._take(message)
        raise TimeoutError("redis answered no ping")

    async def _write(self, pubsub: Any) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            todo, self._todo = self._todo, {}
            for chunk in _chunks([c for c, wanted in todo.items() if wanted]):
                await pubsub.subscribe(*chunk)
            for chunk in _chunks([c for c, wanted in todo.items() if not wanted]):
                await pubsub.unsubscribe(*chunk)


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[i : i + _SUBSCRIBE_CHUNK] for i in range(0, len(items), _SUBSCRIBE_CHUNK))
