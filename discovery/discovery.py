"""What a process asks of Consul, in one object: the others, its own entry, its worker id, its settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc.aio
from pydantic import BaseModel

from chassis.config import ProcessSettings
from chassis.run import Process
from discovery.agent import Agent, Entry, Instance, open_agent
from discovery.breaker import Breaker
from discovery.channels import ServiceChannel, ServiceClient
from discovery.live_settings import LiveSettings, SettingsWatcher
from discovery.registration import Registration, resolve
from discovery.watcher import ServiceWatcher
from discovery.worker_lease import WorkerLease

StubT = TypeVar("StubT")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class _Service:
    watcher: ServiceWatcher
    channel: ServiceChannel


class Discovery:
    """Open it with `open_discovery`. Nothing in here waits for Consul, and nothing fails without it."""

    def __init__(self, process: Process[Any], agent: Agent, tasks: asyncio.TaskGroup) -> None:
        settings: ProcessSettings = process.settings
        self._process = process
        self._settings = settings
        self._agent = agent
        self._group = tasks
        self._tasks: set[asyncio.Task[None]] = set()
        self._services: dict[str, _Service] = {}
        self._registrations: list[Registration] = []
        self._lease: WorkerLease | None = None
        self._live: SettingsWatcher | None = None
        metrics = process.metrics
        self._breaker_state = metrics.gauge(
            "breaker_state", "0 closed, 1 half open, 2 open", labels=("service",)
        )
        self._instances = metrics.gauge("instances", "instances that are connected to", labels=("service",))
        self._worker_held = metrics.gauge("worker_id_held", "1 while a worker id is leased")
        self._rejected = metrics.counter(
            "settings_rejected", "live settings refused as not valid", labels=("key",)
        )

    def client(self, service: str, stub_type: Callable[[grpc.aio.Channel], StubT]) -> ServiceClient[StubT]:
        """A client of "auth", "user", "chat", "message" or "edge"; `stub_type` is a generated stub class."""
        found = self._service(service)
        return ServiceClient(found.channel, stub_type, lambda: found.watcher.members.preferred)

    def healthy(self, service: str) -> bool:
        """Whether an instance of the service is connected and says that it serves: what gRPC sees now.

        For readiness, but never in a circle: two services that each wait for the other never serve.
        """
        return self._service(service).channel.ready

    async def register(self, service: str, port: int, *, http_port: int | None = None) -> None:
        """Enters this process as an instance of the service and keeps it entered until it drains.

        Call it when the gRPC server runs. Does not wait for Consul. OSError: advertise_host is unknown.
        """
        address = await resolve(self._settings.advertise_host)
        meta = {} if http_port is None else {"http_port": str(http_port)}
        instance = Instance(self._settings.instance, address, self._settings.advertise_port or port)
        entry = Entry(service, instance, meta)
        registration = Registration(self._agent, entry, self._process.draining)
        self._registrations.append(registration)
        self._start(registration.run(), f"registration of {service}")

    async def lease_worker_id(self) -> WorkerLease:
        """The process's one worker id for `chassis.ids.Snowflake`. Does not wait for Consul."""
        if self._lease is None:
            self._lease = WorkerLease(self._agent, self._settings.instance, self._worker_held)
            self._start(self._lease.run(), "worker id lease")
        return self._lease

    def live_settings(self, model: type[M]) -> LiveSettings[M]:
        """The live settings of this process that `model` names; every field needs a default."""
        if self._live is None:
            self._live = SettingsWatcher(self._agent, self._process.name)
            self._start(self._live.run(), "live settings")
        settings = LiveSettings(model, self._rejected)
        self._live.add(settings)
        return settings

    async def close(self) -> None:
        """Ends all that was started and takes this process out of Consul."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for registration in self._registrations:
            await registration.remove()
        if self._lease is not None:
            await self._lease.close()

    def _service(self, service: str) -> _Service:
        if service not in self._services:
            self._services[service] = self._watch(service)
        return self._services[service]

    def _watch(self, service: str) -> _Service:
        state = self._breaker_state.labels(service)
        state.set(0)
        breaker = Breaker(asyncio.get_running_loop().time, state.set)
        channel = ServiceChannel(service, breaker, self._start)
        count = self._instances.labels(service)

        def changed(instances: Sequence[Instance]) -> None:
            count.set(len(instances))
            channel.use(instances)

        watcher = ServiceWatcher(self._agent, service, changed)
        self._process.readiness.add(f"{service}_checks", watcher.problem, degrades=True)
        self._start(watcher.run(), f"watch {service}")
        self._start(channel.run(), f"channel to {service}")
        return _Service(watcher, channel)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Reach:
    """Whether Consul answered last, told as a metric and as a lack that only degrades."""

    def __init__(self, process: Process[Any]) -> None:
        self._gauge = process.metrics.gauge(
            "consul_reachable", "1 when the last request to Consul was answered"
        )
        self._answers = True
        process.readiness.add("consul", self._problem, degrades=True)

    def heard(self, answered: bool) -> None:
        """Takes in how a request ended."""
        self._answers = answered
        self._gauge.set(answered)

    def _problem(self) -> str | None:
        return None if self._answers else "consul does not answer; what was known last counts"


@asynccontextmanager
async def open_discovery(process: Process[Any]) -> AsyncIterator[Discovery]:
    """Discovery for one process, until the block ends; ValueError on a bad Consul address.

    The block's end deregisters what is still registered and gives the worker id up.
    """
    reach = _Reach(process)
    address = process.settings.consul_addr
    async with open_agent(address, reach.heard) as agent, asyncio.TaskGroup() as tasks:
        discovery = Discovery(process, agent, tasks)
        try:
            yield discovery
        finally:
            await discovery.close()
