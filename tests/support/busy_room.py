"""A room in which much is said, those who read along, and what the edges hold for them meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from tests.support.api import Api, Json, User
from tests.support.eventually import eventually
from tests.support.peer import Peer
from tests.support.stack import Stack
from tests.support.transports import Frame, open_json

WRITERS, READERS = 4, 4
TEXT = "x" * 6_000
EVERY_SECONDS = 0.1
"""From one message of a writer to its next: 240 KB a second in all, on a machine that can."""
LOOK_SECONDS = 0.1
EDGES = ("edge-1", "edge-2")


class View:
    """What one reader was told of the room: each event once, in order, or a gap."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.events: dict[int, str] = {}
        """Sequence → request id."""
        self.gaps: list[tuple[int, int]] = []
        self.complaints: list[str] = []

    def take(self, frame: Frame) -> None:
        """The next frame that answers nothing."""
        if "event" in frame:
            event = frame["event"]
            self._on(int(event["sequence"]), int(event["sequence"]))
            self.events[self.cursor] = event.get("requestId", "")
        elif "gap" in frame:
            first, head = int(frame["gap"]["fromSequence"]), int(frame["gap"]["headSequence"])
            self._on(first, head)
            self.gaps.append((first, head))
        elif "skip" in frame:
            self.complaints.append(f"a member is told to skip: {frame}")

    def fill(self, log: Sequence[Json]) -> None:
        """What a client does after a gap: it pages through the events that were left out."""
        for first, head in self.gaps:
            for event in log[first - 1 : head]:
                self.events[int(event["sequence"])] = event.get("requestId", "")

    def _on(self, first: int, last: int) -> None:
        if first != self.cursor + 1:
            self.complaints.append(f"{first} follows {self.cursor}")
        self.cursor = last


@dataclass
class Figures:
    """What was seen while the room was busy."""

    waits: list[float] = field(default_factory=list)
    """Seconds from a send to each quick reader's event."""
    rss: dict[str, int] = field(default_factory=dict)
    """The most memory of each edge, bytes."""

    def p99(self) -> float:
        """Seconds."""
        return sorted(self.waits)[int(len(self.waits) * 0.99)]


class BusyRoom:
    """Writers and quick readers, connected."""

    def __init__(self, stack: Stack, api: Api, owner: User, room_id: int) -> None:
        self.stack = stack
        self.api = api
        self.owner = owner
        self.room_id = room_id
        self.views: list[View] = []
        self._begun: dict[str, float] = {}
        self._figures = Figures()

    def reader(self, cursor: int) -> View:
        """A quick reader, whose waits count."""
        view = View(cursor)
        self.views.append(view)
        return view

    def note(self, view: View, frame: Frame) -> None:
        """A quick reader's frame."""
        view.take(frame)
        begun = self._begun.get(frame.get("event", {}).get("requestId", ""))
        if begun is not None:
            self._figures.waits.append(time.monotonic() - begun)

    async def write(self, writers: Sequence[Peer], seconds: float) -> Figures:
        """Everybody writes for so long; gives what was seen."""
        figures = self._figures = Figures()
        until = time.monotonic() + seconds
        looking = asyncio.create_task(self._look(figures))
        await asyncio.gather(*(self._write(writer, until) for writer in writers))
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        return figures

    async def _write(self, writer: Peer, until: float) -> None:
        while time.monotonic() < until:
            request_id = str(uuid.uuid4())
            self._begun[request_id] = time.monotonic()
            await asyncio.gather(writer.send(self.room_id, TEXT, request_id), asyncio.sleep(EVERY_SECONDS))

    async def _look(self, figures: Figures) -> None:
        while True:
            for edge in EDGES:
                figures.rss[edge] = max(figures.rss.get(edge, 0), _rss(self.stack.pid(edge)))
            await asyncio.sleep(LOOK_SECONDS)

    async def complete(self, view: View, seconds: float) -> None:
        """Until a reader is at the head. Raises TimeoutError."""
        head = await self.api.head(self.owner, self.room_id)

        async def there() -> bool:
            return view.cursor >= head

        await eventually(there, seconds=seconds, what=f"a view up to {head}")

    async def metric(self, edge: str, name: str) -> float:
        """A metric without labels of one edge."""
        port = self.stack.state()["urls"]["metricsPorts"][edge]
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(values[0])


def _rss(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@asynccontextmanager
async def busy_room(stack: Stack) -> AsyncIterator[tuple[BusyRoom, list[Peer], User]]:
    """The room, its connected writers, and a member who is not connected yet."""
    api = Api(stack.http_url)
    users = [await api.register("busy") for _ in range(WRITERS + READERS + 1)]
    owner, *rest = users
    room_id = await api.create_room(owner, rest)
    room = BusyRoom(stack, api, owner, room_id)
    head = await api.head(owner, room_id)
    peers: list[Peer] = []
    try:
        for user in users[:WRITERS]:
            peers.append(Peer(await open_json(stack.ws_url), lambda _frame: None))
            await peers[-1].hello(user.access_token)
        writers = list(peers)
        for user in users[WRITERS:-1]:
            view = room.reader(head)
            peers.append(Peer(await open_json(stack.ws_url), partial(room.note, view)))
            await peers[-1].hello(user.access_token, {room_id: head})
        yield room, writers, users[-1]
    finally:
        for peer in peers:
            await peer.end()
        await api.close()
