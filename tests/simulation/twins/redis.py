"""Redis pub/sub in memory: a publish reaches who is subscribed at that moment, or nobody.

Hints for rooms and instances may vanish on the way. Heads and memberships vanish only with the connection,
since TCP does not lose single messages and nothing repeats these two.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from chassis.redis import HEADS, MEMBERSHIP
from tests.simulation.faults import Faults
from tests.simulation.loop import Node, current_node
from tests.simulation.network import Network, Pipe

NAME = "redis"


class Redis:
    """The server."""

    def __init__(self, network: Network, faults: Faults) -> None:
        self.network = network
        self.faults = faults
        self.node = Node(NAME, 3, network.loop)
        self.up = True
        self.links: dict[PubSub, None] = {}

    def reaches(self, node: Node) -> bool:
        """Whether a process can talk to it now."""
        network = self.network
        return self.up and not network.blocked(node, self.node) and not network.blocked(self.node, node)

    async def ask(self, node: Node) -> None:
        """A round trip. Raises RedisConnectionError."""
        await asyncio.sleep(2 * self.network.delay())
        if not self.reaches(node):
            raise RedisConnectionError("away")

    def publish(self, channel: str, payload: bytes) -> None:
        """Hands a hint to all who listen."""
        for link in list(self.links):
            if channel not in link.channels or not link.node.alive:
                continue
            if channel not in (HEADS, MEMBERSHIP) and self.faults.strikes("hint_lost"):
                continue
            link.pipe.send({"type": "message", "channel": channel.encode(), "data": payload})

    def cut(self) -> None:
        """Ends all subscriptions, as a full output buffer or a restart does."""
        for link in list(self.links):
            link.cut()


class Client:
    """Of redis.asyncio.Redis what is used."""

    server: Redis

    @classmethod
    def from_url(cls, _url: str, **_options: object) -> Client:
        """A client."""
        return cls()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Nothing to close."""

    async def aclose(self) -> None:
        """Nothing to close."""

    def pubsub(self) -> PubSub:
        """A subscription connection."""
        return PubSub(self.server)

    def pipeline(self, *, transaction: bool) -> Pipeline:
        """A batch of commands."""
        return Pipeline(self.server)


class Pipeline:
    """Publishes in one round trip."""

    def __init__(self, server: Redis) -> None:
        self._server = server
        self._hints: list[tuple[str, bytes]] = []

    def publish(self, channel: str, payload: bytes) -> None:
        """Adds a publish."""
        self._hints.append((channel, payload))

    async def execute(self) -> None:
        """Raises RedisConnectionError."""
        server, node = self._server, current_node()
        failed = server.faults.strikes("publish_failed")
        if not server.reaches(node) or (failed and server.faults.either()):
            await asyncio.sleep(server.network.delay())
            raise RedisConnectionError("away")

        def work() -> None:
            for channel, payload in self._hints:
                server.publish(channel, payload)

        await server.network.call(node, work)
        if failed:
            raise RedisConnectionError("reset after the publish")


class PubSub:
    """One subscription connection."""

    def __init__(self, server: Redis) -> None:
        self.node = current_node()
        self.channels: dict[str, None] = {}
        self.pipe = Pipe(server.network, server.node, self.node, self._take)
        self._server = server
        self._messages: deque[Any] = deque()
        self._moved = asyncio.Event()
        self._broken = False

    async def __aenter__(self) -> PubSub:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._end()

    async def connect(self) -> None:
        """Raises RedisConnectionError."""
        await self._server.ask(self.node)
        self._server.links[self] = None
        self.node.on_death[self] = self._end

    async def subscribe(self, *channels: str) -> None:
        """Asks for channels; the confirmation is a message."""
        await self._change(channels, wanted=True)

    async def unsubscribe(self, *channels: str) -> None:
        """Gives channels up."""
        await self._change(channels, wanted=False)

    async def ping(self) -> None:
        """Raises RedisConnectionError."""
        await self._server.ask(self.node)
        self.pipe.send({"type": "pong"})

    async def get_message(self, *, timeout: float, **_options: object) -> Any:
        """The next message, None after the timeout. Raises RedisConnectionError."""
        if not self._messages and not self._broken:
            self._moved.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._moved.wait()
            except TimeoutError:
                return None
        if self._broken:
            raise RedisConnectionError("the connection was closed")
        return self._messages.popleft() if self._messages else None

    def cut(self) -> None:
        """The server closes the connection; what is under way is lost."""
        self._end()
        self.pipe.clear()
        self.node.call(self._break)

    async def _change(self, channels: tuple[str, ...], *, wanted: bool) -> None:
        await self._server.ask(self.node)
        if self._broken:
            raise RedisConnectionError("the connection was closed")
        for channel in channels:
            if wanted:
                self.channels[channel] = None
                self.pipe.send({"type": "subscribe"})
            else:
                self.channels.pop(channel, None)

    def _take(self, message: Any) -> None:
        self._messages.append(message)
        self._moved.set()

    def _break(self) -> None:
        self._broken = True
        self._moved.set()

    def _end(self) -> None:
        self._server.links.pop(self, None)
        self.node.on_death.pop(self, None)
