"""A whole Polychat in memory: two chats, two messages, two edges, their backing parts and some clients."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

from polychat.event.v1.room_event_pb2 import RoomEvent

from chassis.run import Process
from services.message.memory import MemoryLog
from tests.simulation import limits, processes
from tests.simulation.client import Person
from tests.simulation.faults import Faults
from tests.simulation.journal import Journal
from tests.simulation.loop import Node, SimLoop
from tests.simulation.network import Network
from tests.simulation.sockets import use_sockets
from tests.simulation.twins.consul import Consul
from tests.simulation.twins.consumers import Group
from tests.simulation.twins.kafka import Broker
from tests.simulation.twins.postgres import Postgres
from tests.simulation.twins.redis import Redis
from tests.simulation.twins.servers import SERVERS
from tests.support.history import Logs, Memberships, Stored

KINDS = ("chat", "message", "edge")
PARTS = 10
"""Numbers below are the network's and the parts'."""


class Host:
    """A place where one process at a time runs, in one life after the other."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.lives = 0
        self.node: Node | None = None
        self.process: Process[Any] | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether a process is there."""
        return self.node is not None and self.node.alive and self.task is not None and not self.task.done()


class World:
    """Everything that a run has. Made anew for each seed."""

    def __init__(self, loop: SimLoop, seed: int) -> None:
        self.loop = loop
        self.seed = seed
        self.faults = Faults(random.Random(loop.random.random()))
        self.network = Network(loop)
        use_sockets(loop, self.network)
        self.broker = Broker(self.network, self.faults)
        self.group = Group(self.broker, processes.SESSION_SECONDS)
        self.postgres = Postgres(self.network, self.faults)
        self.redis = Redis(self.network, self.faults)
        self.consul = Consul(self.network, self.faults)
        self.journal = Journal(loop.time)
        self.hosts = {
            f"{kind}-{number}": Host(kind, f"{kind}-{number}") for kind in KINDS for number in (1, 2)
        }
        self.persons: list[Person] = []
        """Those that live; `gone` are those that were killed."""
        self.gone: list[Person] = []
        self.small = seed % limits.EVERY == 0
        """Whether this seed has small limits and slow readers."""
        self.settings: dict[str, Any] = {"consumer_session_seconds": processes.SESSION_SECONDS}
        if self.small:
            self.settings |= limits.SETTINGS
        self._numbers = itertools.count(PARTS)
        self._graves: list[Node] = []
        SERVERS.clear()

    # Processes -----------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Starts a process in its place, unless one runs there."""
        host = self.hosts[name]
        if host.running:
            return
        host.lives += 1
        node = host.node = Node(name, next(self._numbers), self.loop)
        settings = processes.settings_of(host.kind, name, self.settings)
        host.process = node.context.run(Process, host.kind, settings)
        host.task = node.start(processes.run_process(host.kind, name, host.process))
        host.task.add_done_callback(lambda task: self._ended(host, task))
        self.loop.note("start", name)

    def _ended(self, host: Host, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            self.journal.complaints.append(f"{host.name} ended by {error!r}: {_causes(error)}")

    def kill(self, name: str) -> None:
        """SIGKILL."""
        host = self.hosts[name]
        if host.node is not None and host.node.alive:
            self._graves.append(host.node)
            self.loop.note("kill", name)
            host.node.kill()

    def drain(self, name: str) -> None:
        """SIGTERM."""
        host = self.hosts[name]
        if host.running and host.process is not None and host.node is not None:
            host.node.call(host.process.draining.set)

    # Clients -------------------------------------------------------------------------------------

    def enter(self, user_id: int) -> Person:
        """A user starts a client."""
        number = next(self._numbers)
        name = f"user-{user_id}-{number}"
        node = Node(name, number, self.loop)
        person = node.context.run(Person, name, user_id, node, self.journal)
        node.start(person.run())
        self.persons.append(person)
        return person

    def leave(self, person: Person) -> None:
        """A client is killed."""
        self.persons.remove(person)
        self.gone.append(person)
        person.node.kill()

    # What is stored ------------------------------------------------------------------------------

    @property
    def log(self) -> MemoryLog:
        """message's tables: the truth."""
        return self.postgres.log

    def logs(self) -> Logs:
        """Every room's log, as the checker reads it."""
        found = {}
        for room, events in self.log.room_event.items():
            found[room] = [_stored(RoomEvent.FromString(event.payload)) for event, _ in events]
        return found

    def memberships(self) -> Memberships:
        """The intervals of every member of every room."""
        found: dict[tuple[int, int], list[tuple[int, int | None]]] = {}
        for (room, user, joined), left in sorted(self.log.membership.items(), key=lambda item: item[0]):
            found.setdefault((room, user), []).append((joined, left))
        return found


def _stored(event: RoomEvent) -> Stored:
    message = event.message_created.message
    return Stored(
        event.sequence,
        event.request_id if message.message_id else "",
        message.message_id,
        message.sender_user_id,
        message.text,
        message.message_number,
    )


def _causes(error: BaseException | None) -> str:
    """The ends of the branches of an exception group."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_causes(inner) for inner in error.exceptions)
    return repr(error)
