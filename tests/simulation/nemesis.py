"""What breaks in a run beside single messages: processes, parts and the network between them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tests.simulation.scenario import Counts
from tests.simulation.world import World

CLIENTS = "client"


class Nemesis:
    """Breaks one thing after the other; some are broken at the same time."""

    def __init__(self, world: World, counts: Counts) -> None:
        self.world = world
        self.chance = random.Random(world.loop.random.random())
        self._counts = counts

    async def act(self, until: float) -> None:
        """Breaks things until then; what is broken may last longer."""
        self.world.faults.draw()
        self.world.network.slow = self.chance.choice((0.0, 0.02, 0.1, 0.3))
        pause = self.chance.choice((0.5, 1.0, 3.0))
        while self.world.loop.time() < until:
            await asyncio.sleep(self.chance.expovariate(1 / pause))
            self.one()

    def one(self) -> None:
        """One fault."""
        faults: list[tuple[float, str, Callable[[], None]]] = [
            (3, "process killed", self._kill),
            (2, "process stopped and continued", self._freeze),
            (1, "process drained and started", self._roll),
            (1.5, "partition", self._partition),
            (1, "one-way partition", self._one_way),
            (1, "connections reset", self._reset),
            (0.7, "kafka away", lambda: self._away(self.world.broker)),
            (0.7, "postgres away", lambda: self._away(self.world.postgres)),
            (0.7, "redis away", self._redis_away),
            (1, "redis subscriptions cut", self.world.redis.cut),
            (0.7, "rebalance", self.world.group.storm),
            (0.5, "consul away", lambda: self._away(self.world.consul)),
            (0.3, "everything killed", self._power_cut),
        ]
        _, name, strike = self.chance.choices(faults, [weight for weight, _, _ in faults])[0]
        self._counts.fault(name)
        self.world.loop.note("fault", name)
        strike()

    def end(self) -> None:
        """Everything is whole again."""
        world = self.world
        world.faults.end()
        world.network.slow = 0.0
        world.network.heal()
        for part in (world.broker, world.postgres, world.redis, world.consul):
            part.up = True
        for name, host in world.hosts.items():
            if host.node is not None and host.node.paused:
                host.node.resume()
            world.start(name)

    def _later(self, work: Callable[..., None], *arguments: object) -> None:
        self.world.network.later(self.chance.uniform(0.05, 4.0), work, *arguments)

    def _host(self) -> str:
        return self.chance.choice(list(self.world.hosts))

    def _kill(self) -> None:
        name = self._host()
        self.world.kill(name)
        self._later(self.world.start, name)

    def _freeze(self) -> None:
        node = self.world.hosts[self._host()].node
        if node is not None and node.alive and not node.paused:
            node.pause()
            self.world.network.later(self.chance.choice((0.5, 3.0, 9.0)), node.resume)

    def _roll(self) -> None:
        name = self._host()
        self.world.drain(name)
        self.world.network.later(6.0, self.world.start, name)

    def _places(self) -> list[str]:
        return [*self.world.hosts, "kafka", "postgres", "redis"]

    def _partition(self) -> None:
        one, other = self.chance.sample(self._places(), 2)
        self._cut(one, other)
        self._cut(other, one)

    def _one_way(self) -> None:
        self._cut(*self.chance.sample(self._places(), 2))

    def _cut(self, source: str, target: str) -> None:
        self.world.network.block(source, target)
        self._later(self.world.network.unblock, source, target)

    def _reset(self) -> None:
        node = self.world.hosts[self._host()].node
        if node is not None:
            self.world.network.reset(node)

    def _away(self, part: object) -> None:
        def back() -> None:
            part.up = True  # type: ignore[attr-defined]

        part.up = False  # type: ignore[attr-defined]
        self._later(back)

    def _redis_away(self) -> None:
        self._away(self.world.redis)
        self.world.redis.cut()

    def _power_cut(self) -> None:
        for name in self.world.hosts:
            self.world.kill(name)
            self._later(self.world.start, name)
