"""The wires between simulated processes: delay, partition, reset. What is sent on one wire keeps its order.

A partition is what TCP makes of it: bytes wait and go on when it is over, unless an end gave up meanwhile.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from chassis.grpc_options import KEEPALIVE_MILLIS, KEEPALIVE_TIMEOUT_MILLIS
from tests.simulation.loop import Node, SimLoop

QUICK_SECONDS = (0.0002, 0.004)
SLOW_SECONDS = (0.01, 0.4)
KEEPALIVE_SECONDS = (KEEPALIVE_MILLIS + KEEPALIVE_TIMEOUT_MILLIS) / 1000
"""A gRPC connection that hears nothing for this long is over, on both ends (chassis.grpc_options)."""


class Network:
    """Who can talk to whom, and how fast. Process names stand for machines."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.slow = 0.02
        """Share of messages that are late."""
        self.listening: dict[Node, Callable[[], asyncio.Protocol]] = {}
        self.wires: dict[Wire, None] = {}
        self._blocked: dict[tuple[str, str], None] = {}
        self._stalled: list[Pipe] = []

    def delay(self) -> float:
        """How long one message takes, in seconds."""
        chance = self.loop.random
        return chance.uniform(*(SLOW_SECONDS if chance.random() < self.slow else QUICK_SECONDS))

    def block(self, source: str, target: str) -> None:
        """Nothing gets from one to the other."""
        self._blocked[source, target] = None

    def unblock(self, source: str, target: str) -> None:
        """What waited goes on."""
        self._blocked.pop((source, target), None)
        stalled, self._stalled = self._stalled, []
        for pipe in stalled:
            pipe.pump()

    def heal(self) -> None:
        """Everybody reaches everybody."""
        for pair in list(self._blocked):
            self.unblock(*pair)

    def blocked(self, source: Node, target: Node) -> bool:
        """Whether what is sent now waits."""
        return (source.name, target.name) in self._blocked

    def stall(self, pipe: Pipe) -> None:
        """A pipe has something for somebody who cannot be reached."""
        self._stalled.append(pipe)

    def later(self, seconds: float, work: Callable[..., object], *arguments: object) -> None:
        """Does something that belongs to no process."""
        self.loop.call_later(seconds, work, *arguments, context=self.loop.outside.context)

    async def call(self, node: Node, work: Callable[[], Any]) -> Any:
        """A round trip of a process to a part outside, where `work` runs at once; raises what it raises."""
        answer = self.loop.create_future()

        def serve() -> None:
            try:
                result, error = work(), None
            except Exception as raised:  # noqa: BLE001 — it is the answer
                result, error = None, raised
            self.later(self.delay(), self._answer, node, answer, result, error)

        self.later(self.delay(), serve)
        return await answer

    def _answer(self, node: Node, answer: Any, result: object, error: Exception | None) -> None:
        def settle() -> None:
            if not answer.done():
                answer.set_result(result) if error is None else answer.set_exception(error)

        node.call(settle)

    def reset(self, node: Node) -> None:
        """Breaks every connection of a process, as a middlebox that forgot them would."""
        for wire in [wire for wire in self.wires if node in wire.ends]:
            wire.reset()


class Wire(ABC):
    """Something with two ends that can be broken."""

    ends: tuple[Node, Node]

    @abstractmethod
    def reset(self) -> None:
        """Breaks it."""


class Pipe:
    """One direction of a wire: items arrive in their order, each after its delay, in the target's code."""

    def __init__(self, network: Network, source: Node, target: Node, take: Callable[[Any], object]) -> None:
        self.network = network
        self.source = source
        self.target = target
        self._take = take
        self._items: deque[tuple[float, Any]] = deque()
        self._last = 0.0
        self.stalled_since: float | None = None

    @property
    def waiting(self) -> int:
        """Items under way."""
        return len(self._items)

    def send(self, item: Any) -> None:
        """Puts an item on its way."""
        now = self.network.loop.time()
        self._last = max(self._last, now + self.network.delay())
        self._items.append((self._last, item))
        self.network.later(self._last - now, self.pump)

    async def room(self, most: int) -> None:
        """Returns when at most so many items are under way."""
        while self.waiting > most:  # noqa: ASYNC110 — rare, and virtual time costs nothing
            await asyncio.sleep(0.01)

    def clear(self) -> None:
        """What is under way never arrives."""
        self._items.clear()

    def pump(self) -> None:
        """Hands over what is due, unless the target cannot be reached."""
        now = self.network.loop.time()
        while self._items and self._items[0][0] <= now + 1e-9:
            if self.network.blocked(self.source, self.target):
                if self.stalled_since is None:
                    self.stalled_since = now
                self.network.stall(self)
                return
            self.stalled_since = None
            self.target.call(self._take, self._items.popleft()[1])
