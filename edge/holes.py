"""Mending holes: what a lost hint left out is fetched, once for a room however many notice.

Bounded by pages of 200 events a room; the next page is read when the one before went out.
"""

from __future__ import annotations

import asyncio

from polychat.internal.log.v1 import log_read_service_pb2 as pb
from polychat.internal.log.v1.record_pb2 import EventRecord

from chassis import logs
from chassis.errors import BackendUnavailable
from edge.fanout import Fanout
from edge.log_reader import RANGES, LogReader
from edge.metrics import EdgeMetrics
from edge.protocol.events import Event
from edge.protocol.limits import REPLAY_ROOM
from edge.room import Room

GRACE_SECONDS = 0.05
"""An event that is on its way comes within this; then nothing has to be fetched."""
PAUSE_SECONDS = 0.5
"""Between attempts that brought nothing."""
MAX_ATTEMPTS = 6
"""Fetches without progress before a head is taken for wrong (a restored database)."""

log = logs.get("edge")


def event_of(record: EventRecord) -> Event:
    """The event as the edge keeps it."""
    return Event(record.room_id, record.sequence, record.event, record.joined_user_ids, record.left_user_ids)


class Mender:
    """Fetches what rooms miss. One task, `run`, does it all."""

    def __init__(self, reader: LogReader, metrics: EdgeMetrics, *, grace: float = GRACE_SECONDS) -> None:
        self._reader = reader
        self._metrics = metrics
        self._grace = grace
        self._wanted: dict[Room, int] = {}
        self._asked: set[Room] = set()
        self._wake = asyncio.Event()

    def want(self, room: Room) -> None:
        """A room misses something, or somebody said a cursor that it may not have."""
        self._wanted.setdefault(room, 0)
        self._wake.set()

    def check(self, room: Room) -> None:
        """A room may miss something: look even if nothing is known to be missing."""
        self._asked.add(room)
        self.want(room)

    async def run(self, fanout: Fanout) -> None:
        """Mends for ever."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._grace)
            batch = self._due(fanout)
            if not batch:
                self._wake.clear()
                continue
            if not await self._mend(fanout, batch):
                await asyncio.sleep(PAUSE_SECONDS)

    def _due(self, fanout: Fanout) -> list[Room]:
        for room in tuple(self._wanted):
            alive = fanout.rooms.get(room.room_id) is room
            if not alive or not (room.log.missing or room in self._asked or room.unsure):
                self._wanted.pop(room)
                self._asked.discard(room)
        return list(self._wanted)[:RANGES]

    async def _mend(self, fanout: Fanout, batch: list[Room]) -> bool:
        ranges = [
            pb.LogRange(room_id=room.room_id, after_sequence=room.log.head, limit=REPLAY_ROOM)
            for room in batch
        ]
        try:
            stretches = await self._reader.read(ranges)
        except BackendUnavailable as error:
            log.warning("holes_not_fetched", rooms=len(batch), why=error.message)
            return False
        progress = [
            self._fill(fanout, room, asked.after_sequence, stretch)
            for room, asked, stretch in zip(batch, ranges, stretches, strict=True)
        ]
        fanout.finish()
        return all(progress)

    def _fill(self, fanout: Fanout, room: Room, asked: int, stretch: pb.LogStretch) -> bool:
        self._asked.discard(room)
        if stretch.head_sequence < asked:
            log.error("room_set_back", room=room.room_id, head=stretch.head_sequence, known=asked)
            fanout.set_back(room, stretch.head_sequence)
            return True
        before = room.log.head
        room.log.observe(stretch.head_sequence)
        for entry in stretch.entries:
            if entry.HasField("event"):
                fanout.take(event_of(entry.event))
        fanout.restart(room, room.doubt(stretch.head_sequence))
        if room.log.head > before:
            self._metrics.hole()
            self._wanted[room] = 0
            return True
        if not room.log.missing:
            return True
        attempts = self._wanted[room] = self._wanted.get(room, 0) + 1
        if attempts >= MAX_ATTEMPTS:
            log.error("hole_given_up", room=room.room_id, head=room.log.head, target=room.log.target)
            room.log.give_up()
            ahead = [peer for peer, replay in room.waiting.items() if replay.cursor > room.log.head]
            fanout.restart(room, ahead)
        return False
