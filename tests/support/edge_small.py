"""What stands between the link and the sockets of an edge, without either, on a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from unittest.mock import patch

from polychat.edge.v1.client_frame_pb2 import Hello
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.internal.link.v1.link_service_pb2 import AttachResponse, ConnectionOpened
from polychat.internal.log.v1 import log_read_service_pb2 as reading
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomHead

from chassis.errors import BackendUnavailable
from chassis.telemetry import Metrics
from edge.bounds import Bounds
from edge.config import EdgeSettings
from edge.fanout import Fanout
from edge.holes import Mender
from edge.lagging import Lagging
from edge.metrics import EdgeMetrics
from edge.peer import Outbox, Peer
from edge.protocol.connection import Connection, Kind
from edge.resume import Resumer
from edge.room import User
from edge.rooms import Rooms
from edge.stream_peer import StreamPeer
from tests.support.edge_log import RoomLogStore
from tests.support.secret_file import any_secret_file

SLOW_BYTES, UNSENT_BYTES = 600, 2400
TURNS = 60
"""Turns of the loop in which everything that needs no outside event has happened."""
PORTION_BYTES = 1000
SMALL = {
    "edge.resume.STEP_BYTES": 600,
    "edge.resume.REPLAY_ROOM": 12,
    "edge.resume.REPLAY_CONNECTION": 20,
    "edge.resume.REPLAY_SLOW": 3,
    "edge.resume.PAUSE_SECONDS": 0.0,
    "edge.resume.MAX_ATTEMPTS": 1_000_000,
    "edge.holes.PAUSE_SECONDS": 0.0,
    "edge.holes.MAX_ATTEMPTS": 1_000_000,
    "edge.protocol.catch_up.REPLAY_ROOM": 12,
    "edge.protocol.catch_up.RING_EVENTS": 4,
    "edge.fanout.PORTION_BYTES": PORTION_BYTES,
}
"""Everything a tenth of its size, so that a short story passes all bounds."""


def shrunk() -> ExitStack:
    """All bounds as SMALL says, until the stack is closed."""
    stack = ExitStack()
    for name, value in SMALL.items():
        stack.enter_context(patch(name, value))
    return stack


class StoreReader:
    """LogReader on the log, which may be away or take its time."""

    def __init__(self, store: RoomLogStore) -> None:
        self.store = store
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, ranges: Sequence[reading.LogRange]) -> Sequence[reading.LogStretch]:
        """See LogReader."""
        await self.gate.wait()
        if self.away:
            raise BackendUnavailable("message")
        return [self.store.stretch(wanted) for wanted in ranges]


class Told:
    """What one peer was told, judged as it comes: each event once, in order, nothing of others' (I4, I5)."""

    def __init__(self, store: RoomLogStore, user_id: int) -> None:
        self._store = store
        self._user_id = user_id
        self.cursors: dict[int, int] = {}
        self._heads: dict[int, int] = {}
        self._listed: set[int] = set()
        self._away: set[int] = set()
        """Rooms of its hello that its user was not in: one that is joined later starts with its coming."""
        self.before: dict[int, int] = {}
        """Heads up to which it is owed nothing of a room, but may be told: what happened before its hello."""
        self.events: list[tuple[int, int]] = []
        """(room, sequence) of all that it was shown."""
        self.gaps = 0
        self.resets = 0
        self.receipts: list[tuple[int, int, int]] = []
        """(room, user, read sequence), as they came."""

    def hello(self, listed: dict[int, int], said: dict[int, int]) -> None:
        """Chat listed rooms with their heads, the peer said cursors."""
        self.cursors = listed | said
        self._listed = listed.keys() - said.keys()
        self._heads = {room: self._store.head(room) for room in self._store.rooms}
        self.before = {room: head for room, head in self._heads.items() if room not in listed}

    def take(self, frame: ServerFrame) -> None:
        """The next frame."""
        kind = frame.WhichOneof("body")
        if kind == "welcome":  # without the rooms that were left since they were listed
            rooms = {state.room_id for state in frame.welcome.rooms}
            self.before |= {room: head for room, head in self._heads.items() if room not in rooms}
            for room in self._listed - rooms:
                del self.cursors[room]
            self._away = self.cursors.keys() - rooms
        elif kind == "event":
            room, sequence = frame.event.room_id, frame.event.sequence
            assert self._store.visible(room, self._user_id, sequence), "an event of others"
            self.events.append((room, sequence))
            self._advance(room, sequence, sequence)
        elif kind == "skip":
            self._advance(frame.skip.room_id, frame.skip.from_sequence, frame.skip.to_sequence)
        elif kind == "gap" and frame.gap.reset:
            self.resets += 1
            self.cursors[frame.gap.room_id] = frame.gap.head_sequence
        elif kind == "gap":
            self.gaps += 1
            self._advance(frame.gap.room_id, frame.gap.from_sequence, frame.gap.head_sequence)
        elif kind == "receipt":
            told = frame.receipt
            self.receipts.append((told.room_id, told.user_id, told.read_sequence))

    def _advance(self, room: int, first: int, last: int) -> None:
        cursor = self.cursors.get(room, 0)
        between = range(max(cursor, self.before.get(room, 0)) + 1, first)
        assert first > cursor, f"{first} of room {room} after {cursor}"
        whole = room not in self.cursors or room in self._away or first == cursor + 1
        self._away.discard(room)
        assert whole, f"a hole: {first} of room {room} after {cursor}"
        assert not any(self._store.visible(room, self._user_id, s) for s in between), "a silent hole"
        self.cursors[room] = last

    def owed(self) -> list[tuple[int, int]]:
        """(room, sequence) of what the user may see and was not told of."""
        return [
            (room, record.sequence)
            for room, log in self._store.rooms.items()
            for record in log[max(self.cursors.get(room, 0), self.before.get(room, 0)) :]
            if self._store.visible(room, self._user_id, record.sequence)
        ]


class SmallEdge:
    """The pieces, wired as in `edge.edge`."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        secret = any_secret_file()
        settings = EdgeSettings(
            instance="edge-1",
            grpc_port=0,
            consul_addr="http://127.0.0.1:1",
            internal_credential_file=secret,
        )
        counted = EdgeMetrics(Metrics("edge"))
        self.store = RoomLogStore()
        self.reader = StoreReader(self.store)
        self.outbox = Outbox(asyncio.get_running_loop())
        self.mender = Mender(self.reader, counted, grace=0.0)
        self.fanout = Fanout(self.outbox, counted, self.mender.want)
        self.resumer = Resumer(self.fanout, self.reader, tasks, counted)
        self.lagging = Lagging(self.fanout, self.resumer, counted)
        self.outbox.on_full = self.lagging.begin
        self.fanout.comings.on_late = self._ask_again
        self.rooms = Rooms(
            settings, self.fanout, self.mender, self.resumer, self.lagging, self.outbox, lambda: 0.0
        )
        self.bounds = Bounds(65_536, 16, SLOW_BYTES, UNSENT_BYTES)
        self.peers: list[SmallPeer] = []
        self.mending = tasks.create_task(self.mender.run(self.fanout))

    def receive(self, peer: Peer, data: bytes) -> None:
        """See Application: these readers say nothing."""

    def drained(self, peer: Peer) -> None:
        """See Application."""
        self.rooms.drained(peer)

    def deliver(self, *records: EventRecord) -> None:
        """Hints over the link."""
        self.rooms.deliver(AttachResponse(events=records))

    def heads(self) -> None:
        """What chat says about the heads after a lost hint."""
        heads = [RoomHead(room_id=room, head_sequence=self.store.head(room)) for room in self.store.rooms]
        self.rooms.deliver(AttachResponse(heads=heads))

    def connect(self, user_id: int, cursors: dict[int, int] | None = None) -> SmallPeer:
        """A connection says hello and is welcomed."""
        self.rooms.expect(user_id)
        return self.welcome(self.opened(user_id), cursors)

    def welcome(self, opened: ConnectionOpened, cursors: dict[int, int] | None = None) -> SmallPeer:
        """The answer to a hello, which may have been read a while ago; its user is expected since before."""
        user_id = opened.user_id
        peer = SmallPeer(self, user_id, len(self.peers) + 1)
        self.peers.append(peer)
        hello = Hello()
        for room, sequence in (cursors or {}).items():
            hello.rooms.add(room_id=room, sequence=sequence)
        here = {entry.room_id: entry.head_sequence for entry in opened.rooms}
        peer.told.hello(here, cursors or {})
        self.rooms.welcome(peer.wire, 1, hello, opened, self.rooms.recall(user_id))
        return peer

    def leave(self, peer: SmallPeer) -> None:
        """A connection is lost."""
        self.peers.remove(peer)
        peer.wire.connection.close()
        self.rooms.leave(peer.wire)
        peer.wire.abort()

    def attach_anew(self) -> None:
        """The link stands again, to another chat instance: it opens every connection again."""
        for peer in self.peers:
            self.reopen(peer, self.opened(peer.user_id))

    def reopen(self, peer: SmallPeer, opened: ConnectionOpened) -> None:
        """Chat tells the rooms of an open connection, as it read them, perhaps a while ago."""
        self.rooms.compare(peer.wire, opened)
        self.rooms.flush()

    def _ask_again(self, user: User) -> None:
        """Chat answers whoever asked, with what is true then."""
        asker = user.ask()

        def answer() -> None:
            for peer in self.peers:
                if peer.wire is asker:
                    self.reopen(peer, self.opened(user.user_id))

        self.outbox.later(answer)

    def opened(self, user_id: int) -> ConnectionOpened:
        """What chat reads of a user's rooms now."""
        return ConnectionOpened(
            connection_id=1,
            user_id=user_id,
            rooms=self.store.rooms_of(user_id),
            ended=self.store.ended_of(user_id),
        )


class SmallPeer:
    """A stream's end on the edge, and its reader, who takes when told to."""

    def __init__(self, edge: SmallEdge, user_id: int, number: int) -> None:
        self.user_id = user_id
        connection = Connection(number)
        connection.receive(Kind.HELLO)
        connection.identify(user_id, 1, "", 0.0)
        connection.opened()
        self.wire = StreamPeer(connection, edge.outbox, edge, edge.bounds, "")
        self.told = Told(edge.store, user_id)
        self._frames = self.wire.frames()

    async def take(self, frames: int) -> None:
        """Takes so many frames, if there are."""
        for _ in range(frames):
            if self.wire.unsent == 0:
                return
            self.told.take(ServerFrame.FromString(await anext(self._frames)))


async def settle() -> None:
    """Until nothing happens any more by itself."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@asynccontextmanager
async def small_edge() -> AsyncIterator[SmallEdge]:
    """Runs until the block ends."""
    async with asyncio.TaskGroup() as tasks:
        edge = SmallEdge(tasks)
        yield edge
        edge.mending.cancel()
        for peer in tuple(edge.peers):
            edge.leave(peer)
