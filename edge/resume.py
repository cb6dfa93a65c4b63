"""Bringing a peer from its cursor to the head of a room: from the ring, from message, or by a `gap`.

While it is behind, the peer is not live in the room; it becomes so in the same turn of the loop in
which its cursor reaches the head, so nothing is missing and nothing comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from polychat.edge.v1.server_frame_pb2 import ServerFrame, Skip
from polychat.internal.log.v1 import log_read_service_pb2 as pb

from chassis import logs
from chassis.errors import BackendUnavailable
from edge.fanout import Fanout
from edge.holes import event_of
from edge.log_reader import RANGES, LogReader
from edge.metrics import EdgeMetrics
from edge.peer import Peer
from edge.protocol.catch_up import Resume, plan
from edge.protocol.connection import Phase
from edge.protocol.limits import REPLAY_CONNECTION, REPLAY_ROOM, REPLAY_SLOW
from edge.room import Replay, Room

PAUSE_SECONDS = 0.5
MAX_ATTEMPTS = 20
"""Reads that bring nothing before the client is told to fetch for itself."""
STEP_BYTES = 64 * 1024
"""A peer is given this much and then has to take it; the rest of its bound is for what happens meanwhile."""

log = logs.get("edge")


class Resumer:
    """Replays to peers; at most one task a peer, and only while it is behind."""

    def __init__(
        self, fanout: Fanout, reader: LogReader, tasks: asyncio.TaskGroup, metrics: EdgeMetrics
    ) -> None:
        self._fanout = fanout
        self._reader = reader
        self._tasks = tasks
        self._metrics = metrics
        self._behind: dict[Peer, dict[int, Room]] = {}
        fanout.on_behind = self.catch_up

    def resume(self, peer: Peer, rooms: list[tuple[Room, int, int | None]]) -> None:
        """Begins every room of a new connection: (room, head told in `welcome`, cursor or None)."""
        budget = REPLAY_CONNECTION
        for room, told, cursor in rooms:
            if cursor is None:
                self.bring(peer, room, told)
                continue
            head = max(told, room.log.head)
            way = plan(cursor, head, budget)
            if way is Resume.LIVE:
                self.bring(peer, room, head)
            elif way is Resume.REPLAY:
                budget -= head - cursor
                self.bring(peer, room, cursor)
            else:
                reset = way is Resume.RESET
                peer.send_gap(room.room_id, 1 if reset else cursor + 1, head, reset=reset)
                self.bring(peer, room, head)
            self._metrics.resumed("full" if way is Resume.LIVE else way.value)

    def catch_up(self, peer: Peer, rooms: Iterable[Room]) -> None:
        """A peer that was slow has drained: these rooms, and those it was behind in before, go on."""
        behind = self._behind.get(peer)
        if behind is not None:
            behind.update((room.room_id, room) for room in rooms)
            rooms = self._near(peer, tuple(behind.values()))
            behind.clear()
            behind.update((room.room_id, room) for room in rooms)
            return
        for room in self._near(peer, rooms):
            replay = room.waiting.get(peer)
            if replay is not None:
                self._bring_on(peer, room, replay, careful=True)

    def _near(self, peer: Peer, rooms: Iterable[Room]) -> list[Room]:
        """The rooms whose rest is replayed; the others are at their head now, after one `gap` each."""
        budget = REPLAY_CONNECTION
        near = []
        for room in rooms:
            replay = room.waiting.get(peer)
            if replay is None:
                continue
            goal = replay.until or room.goal(peer)
            missed = goal - replay.cursor
            if replay.until is None and missed > min(REPLAY_ROOM, budget):
                peer.send_gap(room.room_id, replay.cursor + 1, goal)
                self._fanout.watch(room, peer, goal)
                self._metrics.resumed(Resume.GAP.value)
                continue
            budget -= missed
            near.append(room)
        return near

    def is_behind(self, peer: Peer, room: Room) -> bool:
        """Whether the peer is being brought on in the room, or will be when it lags no more."""
        return room.room_id in self._behind.get(peer, ()) or room.room_id in (peer.moved or ())

    def bring(self, peer: Peer, room: Room, cursor: int) -> None:
        """Sends what follows the cursor, and then what happens. Who is ahead waits for the head to come to
        the cursor, unless what follows it then is not theirs: their user left there, and came back later."""
        away = room.joined(peer) > cursor + 1
        if not self._fanout.watch(room, peer, cursor) and (away or cursor <= room.log.head):
            self._bring_on(peer, room, room.waiting[peer], careful=False)

    def finish(self, peer: Peer, room: Room, cursor: int, until: int) -> None:
        """Sends what follows the cursor of a membership that ended at `until`, and nothing after it."""
        replay = room.waiting.setdefault(peer, Replay(cursor))
        replay.until = until
        self._bring_on(peer, room, replay, careful=False)

    def _bring_on(self, peer: Peer, room: Room, replay: Replay, *, careful: bool) -> None:
        if self._from_ring(peer, room, replay):
            return
        behind = self._behind.get(peer)
        if behind is not None:
            behind[room.room_id] = room
        else:
            self._behind[peer] = {room.room_id: room}
            self._tasks.create_task(self._replay(peer, careful=careful))

    def _from_ring(self, peer: Peer, room: Room, replay: Replay) -> bool:
        user = peer.user
        if user is None or replay.until is not None or user.rooms.get(room.room_id, 0) > replay.cursor + 1:
            return False
        tail = room.log.since(replay.cursor)
        if tail is None or any(user.user_id in event.left for event in tail):
            return False  # the log tells it to whom it concerns
        for event in tail:
            if _full(peer):
                return False
            peer.outbox.put(peer, event.frame(peer.wire))
            self._metrics.delivered(1)
            replay.cursor = event.sequence
        self._fanout.watch(room, peer, room.log.head)
        return True

    async def _replay(self, peer: Peer, *, careful: bool) -> None:
        behind = self._behind[peer]
        attempts = 0
        try:
            while behind and peer.connection.phase is Phase.OPEN:
                if peer.slow:
                    careful = True
                    await peer.drained()
                    self.catch_up(peer, ())
                    continue
                batch = list(behind.values())[: REPLAY_SLOW if careful else RANGES]
                progress = await self._step(
                    peer, batch, REPLAY_SLOW // len(batch) if careful else REPLAY_ROOM
                )
                attempts = 0 if progress else attempts + 1
                if attempts >= MAX_ATTEMPTS:
                    self._hand_over(peer, batch)
                elif not progress:
                    await asyncio.sleep(PAUSE_SECONDS)
                peer.outbox.flush()
        finally:
            for room in behind.values():
                self._fanout.stop_waiting(room, peer)
            del self._behind[peer]

    async def _step(self, peer: Peer, batch: list[Room], limit: int) -> bool:
        try:
            stretches = await self._reader.read([_range(peer, room, limit) for room in batch])
        except BackendUnavailable as error:
            log.warning("replay_waits", rooms=len(batch), why=error.message)
            return False
        if peer.connection.phase is not Phase.OPEN:
            return True
        moved = [self._advance(peer, room, stretch) for room, stretch in zip(batch, stretches, strict=True)]
        return any(moved)

    def _advance(self, peer: Peer, room: Room, stretch: pb.LogStretch) -> bool:
        moved = False
        for entry in stretch.entries:
            if peer.gathered > STEP_BYTES:
                peer.outbox.flush()
            if peer.slow:
                return True  # the rest is read again when the peer has room: nobody holds it meanwhile
            replay = room.waiting.get(peer)
            if replay is None or (replay.until is not None and entry.sequence > replay.until):
                break
            if entry.to_sequence > replay.cursor:
                self._send_entry(peer, room, replay, entry)
                moved = True
            if peer.connection.user_id in entry.event.left_user_ids:
                if peer.user is not None:
                    self._fanout.end(room, peer.user, entry.sequence)
                break  # whoever reads in nobody's name gets what follows as well
        replay = room.waiting.get(peer)
        if replay is None or self._arrived(peer, room, replay):
            self._behind[peer].pop(room.room_id, None)
            return True
        return moved

    def _send_entry(self, peer: Peer, room: Room, replay: Replay, entry: pb.LogEntry) -> None:
        if entry.HasField("event"):
            peer.outbox.put(peer, event_of(entry.event).frame(peer.wire))
            self._metrics.delivered(1)
        else:
            first = max(entry.sequence, replay.cursor + 1)
            peer.send(
                ServerFrame(
                    skip=Skip(room_id=room.room_id, from_sequence=first, to_sequence=entry.to_sequence)
                )
            )
        replay.cursor = entry.to_sequence

    def _arrived(self, peer: Peer, room: Room, replay: Replay) -> bool:
        if replay.until is not None:
            if replay.cursor < replay.until:
                return False
            self._fanout.stop_waiting(room, peer)
            return True
        if replay.cursor >= room.goal(peer):
            self._fanout.watch(room, peer, replay.cursor)
            return True
        return self._from_ring(peer, room, replay)

    def _hand_over(self, peer: Peer, batch: list[Room]) -> None:
        for room in batch:
            self._behind[peer].pop(room.room_id, None)
            replay = room.waiting.get(peer)
            if replay is None:
                continue
            head = replay.until or max(room.goal(peer), replay.cursor)
            peer.send_gap(room.room_id, replay.cursor + 1, head)
            if replay.until is not None:
                self._fanout.stop_waiting(room, peer)
            else:
                self._fanout.watch(room, peer, head)


def _range(peer: Peer, room: Room, limit: int) -> pb.LogRange:
    """What the peer misses of a room. In nobody's name, so that equal reads are one, when its user has been
    a member since the cursor: up to the event of their leaving they may see all of it."""
    replay, user = room.waiting.get(peer), peer.user
    cursor = replay.cursor if replay is not None else room.log.head
    joined = user.rooms.get(room.room_id) if user is not None else None
    sees_all = joined is not None and joined <= cursor + 1
    user_id = 0 if sees_all else peer.connection.user_id
    return pb.LogRange(room_id=room.room_id, after_sequence=cursor, limit=limit, user_id=user_id)


def _full(peer: Peer) -> bool:
    return peer.slow or peer.gathered > STEP_BYTES
