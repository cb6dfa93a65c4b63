"""Rooms → peers: each event goes once to every live member, in order, encoded once for each wire.

The log decides who is a member: `memberJoined` and `memberLeft` start and end a local user's room at
exactly their sequence, so nothing of a room reaches anyone outside it (I5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from edge.comings import Comings
from edge.metrics import EdgeMetrics
from edge.peer import Outbox, Peer
from edge.protocol.events import Event, Wire
from edge.protocol.limits import PORTION_BYTES
from edge.protocol.rings import Rings
from edge.room import Replay, Room, User


class Fanout:
    """Who gets what. Every method runs to its end within one turn of the loop."""

    def __init__(self, outbox: Outbox, metrics: EdgeMetrics, on_missing: Callable[[Room], None]) -> None:
        self.rooms: dict[int, Room] = {}
        self.users: dict[int, User] = {}
        self.comings = Comings(self.users)
        self.on_read: Callable[[Room], None] = _let_be
        """What is done when a room moved that has receipts waiting: only now are its leavings known (I5)."""
        self.on_behind: Callable[[Peer, Iterable[Room]], None] = _let_be
        """What is done for a peer that waits in rooms for what lies before its user's coming."""
        self._outbox = outbox
        self._metrics = metrics
        self._on_missing = on_missing
        self._rings = Rings()
        self._moved: list[Room] = []
        self._gathered = 0
        """Bytes of events that are let out and not yet handed to the peers."""

    # ---- events -----------------------------------------------------------------------------

    def deliver(self, events: Iterable[Event]) -> None:
        """Takes events in and sends what is due, one write a peer."""
        for event in events:
            self.take(event)
        self.finish()

    def take(self, event: Event) -> None:
        """Takes one event in; `finish` sends."""
        if event.joined or event.left:
            self.comings.note(event)
        room = self.rooms.get(event.room_id)
        if room is None:
            room = self._begin(event)
            if room is None:
                return
        elif event.sequence <= room.log.head:
            self.comings.heard_late(event)
        for ready in room.log.accept(event):
            self._apply(room, ready)
            self._gathered += ready.size
            if self._gathered > PORTION_BYTES:
                self.finish()
        if room.receipts.early:
            self.on_read(room)
        if room.log.missing:
            self._on_missing(room)
        elif room.users == 0:
            self._end_unused(room)

    def _begin(self, event: Event) -> Room | None:
        """The room that begins with a local user's coming; a hint of an old coming begins nothing."""
        self.comings.passed_by(event.room_id, event.sequence, unseen=event.sequence - 1)
        if not any(user_id in self.users for user_id in event.joined):
            return None
        if self.comings.is_past(event):
            self.comings.heard_late(event)
            return None
        self.comings.begun(event.room_id)
        room = self.rooms[event.room_id] = Room(event.room_id, event.sequence - 1, self._rings)
        return room

    def finish(self) -> None:
        """Hands what has moved to the peers and writes it."""
        moved, self._moved, self._gathered = self._moved, [], 0
        for room in moved:
            self.settle(room)
        self._outbox.flush()

    def settle(self, room: Room) -> None:
        """Puts the run of a room into the outbox of its live peers; all of one wire share the bytes."""
        run, room.run = room.run, []
        if not run:
            return
        joined: list[bytes | None] = [None, None]
        put = self._outbox.put
        for peer in room.live:
            wire = peer.wire
            if wire is Wire.STREAM:
                for event in run:
                    put(peer, event.frame(wire))
                continue
            frames = joined[wire]
            if frames is None:
                frames = joined[wire] = (
                    run[0].frame(wire) if len(run) == 1 else b"".join([event.frame(wire) for event in run])
                )
            put(peer, frames)
        self._metrics.delivered(len(run) * len(room.live))

    def _apply(self, room: Room, event: Event) -> None:
        if room.resting:
            room.move(event.sequence - 1)
        for user_id in event.joined:
            self._join(room, user_id, event.sequence)
        if not room.run:
            self._moved.append(room)
        room.run.append(event)
        for user_id in event.left:
            self._part(room, user_id, event.sequence)
        if room.waiting:
            self._promote(room, event.sequence)

    def _promote(self, room: Room, sequence: int) -> None:
        arrived = room.arrived(sequence)
        if arrived:
            self.settle(room)
            for peer in arrived:
                room.arrive(peer)

    def _join(self, room: Room, user_id: int, sequence: int) -> None:
        user = self.users.get(user_id)
        if user is None or user.knows(room.room_id, sequence):
            return
        if self.comings.doubts(user, room.room_id, sequence, room.begun):
            return
        self.settle(room)
        if room.room_id not in user.rooms:
            room.users += 1
            self.rooms[room.room_id] = room  # its last user may have left an event ago
        user.rooms[room.room_id] = sequence
        room.go_on(user)
        for peer in user.peers - room.waiting.keys():
            if room.come(peer, sequence):
                self._outbox.later(partial(self.on_behind, peer, (room,)))
        if room.unsure:
            self._on_missing(room)

    def _part(self, room: Room, user_id: int, sequence: int) -> None:
        user = self.users.get(user_id)
        if user is None or user.rooms.get(room.room_id, 0) >= sequence:
            return
        if room.room_id not in user.rooms:
            if not user.knows(room.room_id, sequence):
                self.comings.ask(user, room.room_id, sequence)
            return
        user.note_shown(room.room_id, sequence)
        self.settle(room)
        for peer in user.peers:
            room.part(peer, sequence)
        self.forget(user, room.room_id)

    def end(self, room: Room, user: User, sequence: int) -> None:
        """A leaving is met in the log. When what happens here is past it, the membership was told by a list
        that is older, and is over; when not, it ends as the leaving comes by."""
        if sequence <= room.log.head and user.rooms.get(room.room_id, sequence) < sequence:
            user.note_left(room.room_id, sequence)
            self._part(room, user.user_id, sequence)
            self.comings.on_late(user)

    def forget(self, user: User, room_id: int) -> None:
        """Ends a user's room."""
        if user.rooms.pop(room_id, None) is None:
            return
        room = self.rooms[room_id]
        room.users -= 1
        room.live -= user.peers
        room.resting -= user.peers
        self._end_unused(room)

    def _end_unused(self, room: Room) -> None:
        """Goes with its last user, but not before whoever left has all, nor while a coming is missing."""
        room_id = room.room_id
        wanted = room.users or room.waiting or room.log.missing
        if not wanted and self.rooms.get(room_id) is room:
            del self.rooms[room_id]
            room.log.drop_ring()
            self.comings.ended(room_id, room.log.head)

    # ---- peers ------------------------------------------------------------------------------

    def enter(self, user_id: int, peer: Peer) -> User:
        """Makes a peer one of its user's."""
        user = self.users.get(user_id)
        if user is None:
            user = self.users[user_id] = User(user_id)
        user.peers.add(peer)
        peer.user = user
        return user

    def room(self, room_id: int, head: int) -> Room:
        """The room, which begins at this head if nobody here has it; else it is somewhere else perhaps."""
        room = self.rooms.get(room_id)
        if room is None:
            room = self.rooms[room_id] = Room(room_id, head, self._rings)
            self.comings.passed_by(room_id, head, unseen=head)
            self.comings.begun(room_id)
        return room

    def enter_room(self, user: User, room_id: int, head: int, joined_sequence: int) -> Room:
        """Notes a membership and that the room has this head."""
        room = self.room(room_id, head)
        if room_id not in user.rooms:
            room.users += 1
            room.go_on(user)
        user.rooms[room_id] = max(joined_sequence, user.rooms.get(room_id, 0))
        if room.log.observe(head):
            self._on_missing(room)
        return room

    def watch(self, room: Room, peer: Peer, cursor: int) -> bool:
        """Puts a peer behind a cursor; True when it is live: that is the head, and what follows is for it."""
        if cursor == room.log.head and room.joined(peer) <= cursor + 1:
            self.settle(room)
            room.arrive(peer)
            return True
        if peer in room.waiting:
            room.waiting[peer].cursor = cursor
        else:
            room.waiting[peer] = Replay(cursor)
        return False

    def stop_waiting(self, room: Room, peer: Peer) -> None:
        """A peer is owed nothing more of a room that it is not live in."""
        room.waiting.pop(peer, None)
        self._end_unused(room)

    def set_back(self, room: Room, head: int) -> None:
        """The room's log ends before what we let out (a restored database): all go on from its new head."""
        self.settle(room)
        room.set_back(head)
        self.restart(room, (*room.live, *room.resting, *room.waiting))
        for user in {peer.user for peer in room.live | room.resting if peer.user is not None}:
            if user.rooms.get(room.room_id, 0) > head:
                self.forget(user, room.room_id)  # a membership that never was
        for user in self.users.values():
            user.set_back(room.room_id, head)

    def restart(self, room: Room, peers: Iterable[Peer]) -> None:
        """Peers whose copy of a room is void are told to forget it, and go on from the head."""
        self.settle(room)
        for peer in peers:
            peer.send_gap(room.room_id, 1, room.log.head, reset=True)
            room.arrive(peer)
            peer.forget(room.room_id)
        self._end_unused(room)

    def rest(self, peer: Peer) -> None:
        """A peer lags from now on: it is given no event, and the rooms that move are remembered."""
        peer.moved = {}
        if peer.user is not None:
            for room_id in peer.user.rooms:
                self.settle(self.rooms[room_id])
                self.rooms[room_id].rest(peer)

    def wake(self, peer: Peer) -> list[Room]:
        """A peer lags no more: it is live where nothing happened; the rooms where it waits."""
        moved, peer.moved = peer.moved, None
        if peer.user is not None:
            for room_id in peer.user.rooms:
                self.rooms[room_id].wake(peer)
        return list((moved or {}).values())

    def leave(self, peer: Peer) -> None:
        """Takes a peer out of everything; what was asked by it is asked by another of its user's."""
        moved, peer.moved = peer.moved, None
        user = peer.user
        if user is None:
            return
        peer.user = None
        user.peers.discard(peer)
        for room_id in user.rooms:
            self.rooms[room_id].drop(peer)
        for room in (moved or {}).values():
            self.stop_waiting(room, peer)
        if not user.peers:
            del self.users[user.user_id]
            for room_id in tuple(user.rooms):
                self.forget(user, room_id)
        elif user.lost(peer):
            self.comings.on_late(user)


def _let_be(*_what: object) -> None:
    """Nobody minds."""
