"""Comings and goings that events alone do not settle: chat reads the lists that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge.protocol.events import Event
from edge.room import User


class _Watch:
    """Comings and goings of a user while connections of theirs are being opened."""

    __slots__ = ("count", "seen")

    def __init__(self) -> None:
        self.count = 0
        self.seen: dict[int, Event] = {}


class Comings:
    """Those heard while a connection is being opened, and those heard too late to be judged here."""

    def __init__(self, users: Mapping[int, User]) -> None:
        self.on_late: Callable[[User], None] = _let_be
        """What is done for a user who came before a room's beginning here: their rooms are asked for again.
        The event is too little to go by, since a leaving may lie between it and the beginning (I5)."""
        self._users = users
        self._opening: dict[int, _Watch] = {}

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


def _let_be(_user: User) -> None:
    """Nobody asks."""
