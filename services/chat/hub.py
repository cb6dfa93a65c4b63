"""Which edge needs which room: what comes in about a room goes once to every edge with a member of it.

No I/O: hints and connections come in as calls, frames go out through `Output`, wishes to hear or not to
hear a room's channel through `listen`. What hints lose is found by comparing heads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from polychat.internal.log.v1.log_read_service_pb2 import EndedMembership
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomSignal

from services.chat.attached import Connection, Edge, Output
from services.chat.served import ServedRoom, ServedUser

Listen = Callable[[Collection[int], bool], None]


class Hub:
    """Edges, connected users and the rooms they are in. `doubtful` collects users whose rooms must be read
    again, because an event about them came out of order; `uncompared` rooms whose heads could not be read."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._edges: dict[str, Edge] = {}
        self._rooms: dict[int, ServedRoom] = {}
        self._users: dict[int, ServedUser] = {}
        self._moves = 0
        self.doubtful: set[int] = set()
        self.uncompared: set[int] = set()
        self.closed = False  # nothing is taken from edges any more: they say it again to the next instance

    @property
    def edges(self) -> Collection[Edge]:
        """Those attached."""
        return self._edges.values()

    @property
    def users(self) -> Collection[int]:
        """Users with a connection."""
        return self._users.keys()

    @property
    def rooms(self) -> Collection[int]:
        """Rooms with a connected member."""
        return self._rooms.keys()

    def attach(self, name: str, output: Output) -> Edge:
        """An edge came; what was attached under its name before is replaced."""
        old = self._edges.get(name)
        if old is not None:
            self.detach(old)
            old.output.end()
        edge = Edge(name, output)
        self._edges[name] = edge
        return edge

    def detach(self, edge: Edge) -> None:
        """An edge is gone, and all its connections with it."""
        for connection_id in list(edge.connections):
            self.close(edge, connection_id)
        if self._edges.get(edge.name) is edge:
            del self._edges[edge.name]

    def open(self, edge: Edge, connection: Connection) -> None:
        """A connection is there; its user's rooms follow with `place`. One that is opened again keeps those
        it has: a truncated list would not bring them back."""
        known = edge.connections.get(connection.connection_id)
        if known is not None and known.user_id == connection.user_id:
            edge.connections[connection.connection_id] = connection
            return
        self.close(edge, connection.connection_id)
        edge.connections[connection.connection_id] = connection
        user_id = connection.user_id
        edge.users[user_id] = edge.users.get(user_id, 0) + 1
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = ServedUser()
            self._move(user)
        if edge not in user.edges:
            user.edges.add(edge)
            for room_id in user.rooms:
                self._rooms[room_id].members.setdefault(edge, set()).add(user_id)

    def close(self, edge: Edge, connection_id: int) -> None:
        """A connection ended; unknown ones are ignored."""
        connection = edge.connections.pop(connection_id, None)
        if connection is None:
            return
        user_id = connection.user_id
        edge.users[user_id] -= 1
        if edge.users[user_id]:
            return
        del edge.users[user_id]
        user = self._users[user_id]
        user.edges.discard(edge)
        for room_id in list(user.rooms):
            self._withdraw(room_id, edge, user_id)
        if not user.edges:
            del self._users[user_id]

    def mark(self, user_id: int) -> int:
        """Changes when an event or a list moves the user, or they come anew; -1: they have no connection."""
        user = self._users.get(user_id)
        return -1 if user is None else user.mark

    def lists(self, user_id: int) -> int:
        """How many lists the user was placed by since they came."""
        user = self._users.get(user_id)
        return 0 if user is None else user.lists

    def rooms_of(self, user_id: int) -> set[int]:
        """Rooms the user is in, as far as is known here."""
        user = self._users.get(user_id)
        return set() if user is None else set(user.rooms)

    def place(self, user_id: int, heads: Mapping[int, int], *, whole: bool = True) -> set[int]:
        """The user is in these rooms, each with its head, and if that is the whole list in no others; gives
        those that are new for them."""
        user = self._users.get(user_id)
        if user is None:
            return set()
        user.lists += 1
        new, gone = heads.keys() - user.rooms, user.rooms - heads.keys() if whole else set()
        if new or gone:
            self._move(user)
        unheard = [room_id for room_id in new if room_id not in self._rooms]
        for room_id in new:
            self._enter(room_id, user_id, user, passed=heads[room_id])
        for room_id in gone:
            self._leave(room_id, user_id, user)
        if unheard:
            self._listen(unheard, True)
        return new

    def ended(self, user_id: int, ended: Iterable[EndedMembership]) -> bool:
        """These memberships of the user are over; whether their edges have to be told of some."""
        user = self._users.get(user_id, ServedUser())
        new = [one for one in ended if user.note_left(one.room_id, one.left_sequence)]
        if new:
            self._move(user)
        return bool(new)

    def outdated(self, user_id: int, heads: Mapping[int, int]) -> bool:
        """The user may have left a room of this list: nobody saw all that followed it there.

        When the list that is read next ends before that as well, the log itself was set back (a restored
        database): then such rooms go on from where the list says.
        """
        user = self._users.get(user_id, ServedUser())
        served = [(self._rooms[room_id], head) for room_id, head in heads.items() if room_id in self._rooms]
        behind = [(room, head) for room, head in served if head < room.unseen]
        user.outdated = bool(behind) and not user.outdated
        for room, head in behind if not user.outdated else ():
            room.passed = room.unseen = head
        return user.outdated

    def passed(self, room_id: int) -> int:
        """The highest sequence passed on; 0 for a room nobody here is in."""
        room = self._rooms.get(room_id)
        return 0 if room is None else room.passed

    def pass_events(self, events: Iterable[EventRecord]) -> None:
        """Passes events on, each once and ascending per room, and moves who joined or left by them."""
        for event in events:
            self._pass_event(event)

    def pass_signal(self, signal: RoomSignal) -> None:
        """Passes a signal on to the room's edges."""
        room = self._rooms.get(signal.room_id)
        if room is not None:
            for edge in room.members:
                edge.output.signal(signal)

    def compare(self, heads: Mapping[int, int]) -> int:
        """Tells the edges heads that are above what was passed on, and gives the number of such rooms."""
        behind = 0
        for room_id, head in heads.items():
            room = self._rooms.get(room_id)
            if room is None or head <= room.passed:
                continue
            behind += 1
            for edge in room.members:
                edge.output.head(room_id, head)
        return behind

    def revoke(self, session_ids: Sequence[int]) -> None:
        """Tells every edge that sessions ended."""
        for edge in self._edges.values():
            edge.output.revoked(session_ids)

    def drain(self) -> None:
        """Tells every edge to attach elsewhere."""
        for edge in self._edges.values():
            edge.output.drain()

    def _pass_event(self, event: EventRecord) -> None:
        joined = [user_id for user_id in event.joined_user_ids if user_id in self._users]
        room = self._rooms.get(event.room_id)
        if room is None and not joined:
            self._part(event)
            return
        if room is not None and event.sequence <= room.passed:
            self._doubt(event, joined)
            return
        for user_id in joined:
            self._enter(event.room_id, user_id, self._users[user_id], passed=event.sequence - 1)
            self._move(self._users[user_id])
        if room is None:
            self._listen([event.room_id], True)
        self._deliver(self._rooms[event.room_id], event)

    def _deliver(self, room: ServedRoom, event: EventRecord) -> None:
        if event.sequence > room.passed + 1:
            room.unseen = event.sequence - 1
        room.passed = event.sequence
        for edge in room.members:
            edge.output.event(event)
        if event.left_user_ids:
            self._part(event)

    def _part(self, event: EventRecord) -> None:
        for user_id in self._users.keys() & set(event.left_user_ids):
            user = self._users[user_id]
            self._move(user)
            if event.room_id in user.rooms:
                user.note_left(event.room_id, event.sequence)
                self._leave(event.room_id, user_id, user)
            else:
                self._doubt_left(event, user_id)

    def _doubt(self, event: EventRecord, joined: Iterable[int]) -> None:
        for user_id in joined:
            user = self._users[user_id]
            if event.room_id not in user.rooms:
                self._move(user)
                self.doubtful.add(user_id)
        for user_id in self._users.keys() & set(event.left_user_ids):
            self._doubt_left(event, user_id)

    def _doubt_left(self, event: EventRecord, user_id: int) -> None:
        """Whoever left and was not in the room, as far as is known here, had come unseen."""
        user = self._users[user_id]
        if event.room_id not in user.rooms and user.left.get(event.room_id, 0) < event.sequence:
            self.doubtful.add(user_id)

    def _move(self, user: ServedUser) -> None:
        self._moves += 1
        user.mark = self._moves

    def _enter(self, room_id: int, user_id: int, user: ServedUser, *, passed: int) -> None:
        room = self._rooms.setdefault(room_id, ServedRoom(passed, unseen=passed))
        user.rooms.add(room_id)
        for edge in user.edges:
            room.members.setdefault(edge, set()).add(user_id)

    def _leave(self, room_id: int, user_id: int, user: ServedUser) -> None:
        user.rooms.discard(room_id)
        for edge in user.edges:
            self._withdraw(room_id, edge, user_id)

    def _withdraw(self, room_id: int, edge: Edge, user_id: int) -> None:
        room = self._rooms[room_id]
        members = room.members.get(edge, set())
        members.discard(user_id)
        if not members:
            room.members.pop(edge, None)
        if not room.members:
            del self._rooms[room_id]
            self._listen([room_id], False)
