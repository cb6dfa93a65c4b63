"""Comings and goings that events alone do not settle: chat reads the lists that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge.protocol.events import Event
from edge.room import User

MAX_ENDED = 10_000
"""Rooms without a user here of which it is remembered how far they had come."""


class _Watch:
    """Comings and goings of a user while connections of theirs are being opened."""

    __slots__ = ("count", "seen")

    def __init__(self) -> None:
        self.count = 0
        self.seen: dict[int, Event] = {}


class _Ended:
    """A room that nobody here has any more."""

    __slots__ = ("head", "passed")

    def __init__(self, head: int, passed: int) -> None:
        self.head = head
        """How far it had come: late hints of before are old."""
        self.passed = passed
        """How far it has come since, by what chat still sends."""


class Comings:
    """Those heard while a connection is being opened, those heard too late to be judged here, and those that
    were perhaps not heard at all, in rooms that ended here."""

    def __init__(self, users: Mapping[int, User]) -> None:
        self.on_late: Callable[[User], None] = _let_be
        """What is done for a user who came unseen, or before a room's beginning here: their rooms are asked
        for again. An event is too little to go by: a leaving may lie between it and the beginning (I5)."""
        self._users = users
        self._opening: dict[int, _Watch] = {}
        self._ended: dict[int, _Ended] = {}

    def expect(self, user_id: int) -> None:
        """Remembers the comings and goings of a user whose rooms are being asked for."""
        watch = self._opening.setdefault(user_id, _Watch())
        watch.count += 1

    def recall(self, user_id: int) -> Sequence[Event]:
        """Ends one `expect`: what came by since, the last coming or going for each room."""
        watch = self._opening[user_id]
        watch.count -= 1
        if watch.count == 0:
            del self._opening[user_id]
        return tuple(watch.seen.values())

    def forget(self) -> None:
        """Rooms are asked for anew: the answers know of all that came by until now, and perhaps of more."""
        for watch in self._opening.values():
            watch.seen.clear()

    def note(self, event: Event) -> None:
        """An event came by, in its turn or not."""
        for user_id in event.left:
            user = self._users.get(user_id)
            if user is not None:
                user.note_left(event.room_id, event.sequence)
        if self._opening:
            for user_id in (*event.joined, *event.left):
                watch = self._opening.get(user_id)
                if watch is not None:
                    known = watch.seen.get(event.room_id, event)
                    watch.seen[event.room_id] = max(known, event, key=lambda one: one.sequence)

    def ended(self, room_id: int, head: int) -> None:
        """The room has no user here any more."""
        self._ended[room_id] = _Ended(head, head)
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def begun(self, room_id: int) -> None:
        """The room has a user here again."""
        self._ended.pop(room_id, None)

    def is_past(self, event: Event) -> bool:
        """Whether the room had come further before it ended here."""
        ended = self._ended.get(event.room_id)
        return ended is not None and event.sequence <= ended.head

    def ask(self, user: User, room_id: int, sequence: int) -> None:
        """The user comes or goes at the sequence, and something before it was missed."""
        user.note_asked(room_id, sequence)
        self.on_late(user)

    def doubts(self, user: User, room_id: int, sequence: int, begun: int) -> bool:
        """Whether a coming cannot be gone by, in a room that began here after `begun`: then chat is asked."""
        if room_id in user.rooms or not user.missed(room_id, begun):
            return False
        self.ask(user, room_id, sequence)
        return True

    def heard_late(self, event: Event) -> None:
        """The room is past this event: it began here later, for the sake of others, or heard of it before."""
        for user_id in event.joined:
            user = self._users.get(user_id)
            if user is not None and event.room_id not in user.rooms:
                self.on_late(user)

    def passed_by(self, room_id: int, head: int, *, unseen: int) -> None:
        """A room that ended here has come to `head`, and what it holds up to `unseen` was not shown to us:
        the return of somebody perhaps, whose leaving chat has missed. To chat nothing is new then: we ask."""
        ended = self._ended.get(room_id)
        if ended is None or head <= ended.passed:
            return
        before, ended.passed = ended.passed, head
        if unseen > before:
            for user in tuple(self._users.values()):
                if room_id in user.left and not user.knows(room_id, unseen):
                    self.on_late(user)

    def forget_ended(self) -> None:
        """Remembers nothing of rooms that ended here: the log was set back, and may be below that."""
        self._ended.clear()


def _let_be(_user: User) -> None:
    """Nobody asks."""
