"""Discovery in memory: who is registered, seen by each process a little late, or very late."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from discovery import Instance
from tests.simulation.faults import Faults
from tests.simulation.loop import Node, current_node
from tests.simulation.network import Network
from tests.simulation.twins.calls import Channel

SEEN_SECONDS = (0.005, 0.5)
MISSED_SECONDS = (2.0, 8.0)
"""Until the check of a killed process fails."""


class Consul:
    """The agent. Away, nothing changes for anybody."""

    def __init__(self, network: Network, faults: Faults) -> None:
        self.network = network
        self.faults = faults
        self.up = True
        self.entries: dict[str, dict[str, tuple[Node, Instance]]] = {}
        self._views: list[Discovery] = []
        self._workers = itertools.count(1)
        self._ports = itertools.count(20_000)

    def next_worker(self) -> int:
        """A worker id that nobody holds."""
        return next(self._workers)

    def watch(self, view: Discovery) -> None:
        """Keeps a process told."""
        self._views.append(view)
        view.entries = {service: dict(found) for service, found in self.entries.items()}

    def register(self, service: str, node: Node) -> None:
        """A process serves."""
        instance = Instance(node.name, node.name, next(self._ports))

        def gone() -> None:
            self.network.later(self.faults.chance.uniform(*MISSED_SECONDS), self.remove, service, node)

        self.entries.setdefault(service, {})[node.name] = (node, instance)
        node.on_death[self] = gone
        self._tell()

    def remove(self, service: str, node: Node) -> None:
        """A process serves no more."""
        found = self.entries.get(service, {})
        if node.name in found and found[node.name][0] is node:
            del found[node.name]
            self._tell()

    def _tell(self) -> None:
        self._views = [view for view in self._views if view.node.alive]
        for view in self._views:
            self.network.later(self.faults.chance.uniform(*SEEN_SECONDS), self._show, view)

    def _show(self, view: Discovery) -> None:
        if not self.up:
            self.network.later(1.0, self._show, view)
            return
        for service, found in self.entries.items():
            if found:  # the last good set is kept, as discovery.members does
                view.entries[service] = dict(found)


class Discovery:
    """discovery.Discovery as a process sees it."""

    def __init__(self, consul: Consul, process: Any) -> None:
        self.node = current_node()
        self.entries: dict[str, dict[str, tuple[Node, Instance]]] = {}
        self._consul = consul
        self._process = process
        self._worker = consul.next_worker()
        consul.watch(self)

    def client(self, service: str, stub_type: Callable[[Any], Any]) -> ServiceClient:
        """See discovery."""
        return ServiceClient(self, service, stub_type, self._consul)

    def healthy(self, service: str) -> bool:
        """See discovery."""
        return bool(self.entries.get(service))

    async def register(self, service: str, _port: int, *, http_port: int | None = None) -> None:
        """See discovery."""
        consul, node = self._consul, self.node
        consul.register(service, node)

        async def leave() -> None:
            await self._process.draining.wait()
            consul.remove(service, node)

        node.start(leave())

    async def lease_worker_id(self) -> Discovery:
        """See discovery; a worker id of this life's own."""
        return self

    def worker_id(self) -> int:
        """See discovery.WorkerLease."""
        return self._worker

    @property
    def not_before_millis(self) -> int:
        """See discovery.WorkerLease."""
        return 0

    def problem(self) -> str | None:
        """See discovery.WorkerLease."""
        return None

    def live_settings(self, model: Callable[[], Any]) -> LiveSettings:
        """See discovery."""
        return LiveSettings(model())


class LiveSettings:
    """Settings that nobody changes."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def subscribe(self, _apply: Callable[[Any], None]) -> None:
        """Nothing will change."""


class ServiceClient:
    """discovery.ServiceClient."""

    def __init__(
        self, view: Discovery, service: str, stub_type: Callable[[Any], Any], consul: Consul
    ) -> None:
        self._view = view
        self._service = service
        self._network = consul.network
        self._faults = consul.faults
        self._stub = stub_type(Channel(consul.network, consul.faults, view.node, self._pick))

    @property
    def stub(self) -> Any:
        """See discovery."""
        return self._stub

    def instances(self) -> list[Instance]:
        """See discovery."""
        return sorted(instance for _, instance in self._view.entries.get(self._service, {}).values())

    def connect(self, instance: Instance) -> Channel:
        """See discovery."""
        node = self._view.entries[self._service][instance.name][0]
        return Channel(self._network, self._faults, self._view.node, lambda: node)

    def _pick(self) -> Node | None:
        """gRPC's balancer passes over what it has no connection to."""
        nodes = [node for node, _ in self._view.entries.get(self._service, {}).values() if node.alive]
        return self._network.loop.random.choice(nodes) if nodes else None


@asynccontextmanager
async def open_discovery(consul: Consul, process: Any) -> AsyncIterator[Discovery]:
    """discovery.open_discovery."""
    yield Discovery(consul, process)
