"""Which events of a room a client has: the rule of contiguity, without I/O.

Apply an event only when its sequence is the cursor + 1, ignore a lower one, fetch when it is higher.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable

HELLO_ROOMS = 1000
"""Cursors that a `hello` takes."""


class Verdict(enum.Enum):
    """What to do with an event."""

    APPLY = "it is the next one"
    IGNORE = "it was applied before"
    FETCH = "something before it is missing"


class RoomLog:
    """The cursors of all rooms, and the rooms whose missing events are being fetched."""

    def __init__(self) -> None:
        self._cursors: dict[int, int] = {}
        self._wanted: dict[int, int] = {}
        self.epoch = 0
        """Of the log that the cursors are of: what `hello` says with them."""

    def cursors(self) -> dict[int, int]:
        """Room → last sequence applied: what `hello` says after a lost connection."""
        return dict(self._cursors)

    def named(self) -> dict[int, int]:
        """The cursors that fit into `hello`."""
        return dict(itertools.islice(self._cursors.items(), HELLO_ROOMS))

    def restored(self, epoch: int, reset: Iterable[int]) -> list[int]:
        """Takes the epoch of a `welcome` and the rooms it resets; gives those whose copy is void.

        After a restore these are the ones it names, which have nothing from now on, and all that `hello`
        could not name, which are not known any more.
        """
        unnamed = list(self._cursors)[HELLO_ROOMS:] if epoch != self.epoch else []
        self.epoch = epoch
        void = [room_id for room_id in reset if room_id in self._cursors]
        for room_id in (*void, *unnamed):
            self._wanted.pop(room_id, None)
            del self._cursors[room_id]
        self._cursors.update(dict.fromkeys(void, 0))
        return [*void, *unnamed]

    def begin(self, room_id: int, head: int, joined_sequence: int = 0) -> Verdict:
        """A room of `welcome` that was not known yet begins at its head.

        With `joined_sequence` it was joined while this client was away, and begins with the joining.
        """
        if room_id in self._cursors:
            return Verdict.IGNORE
        if joined_sequence == 0:
            self._cursors[room_id] = head
            return Verdict.APPLY
        self._cursors[room_id] = joined_sequence - 1
        self._wanted[room_id] = head
        return Verdict.FETCH

    def judge(self, room_id: int, sequence: int) -> Verdict:
        """What to do with a live or replayed event; APPLY moves the cursor."""
        cursor = self._cursors.setdefault(room_id, sequence - 1)
        if sequence <= cursor:
            return Verdict.IGNORE
        if room_id in self._wanted or sequence > cursor + 1:
            self._wanted[room_id] = max(sequence, self._wanted.get(room_id, 0))
            return Verdict.FETCH
        self._cursors[room_id] = sequence
        return Verdict.APPLY

    def skip(self, room_id: int, from_sequence: int, to_sequence: int) -> Verdict:
        """Events from here to there are not for this user; what is missing before them still is."""
        cursor = self._cursors.setdefault(room_id, from_sequence - 1)
        if to_sequence <= cursor:
            return Verdict.IGNORE
        if room_id in self._wanted or from_sequence > cursor + 1:
            self._wanted[room_id] = max(to_sequence, self._wanted.get(room_id, 0))
            return Verdict.FETCH
        self._cursors[room_id] = to_sequence
        return Verdict.APPLY

    def wanted(self, room_id: int) -> int:
        """The highest sequence of the room that was seen to be missing: what a page is asked for."""
        return self._wanted.get(room_id, 0)

    def gap(self, room_id: int, head: int, *, reset: bool) -> int:
        """Too much was missed: gives the sequence to page after. `reset`: the copy is void, begin anew."""
        if reset:
            self._cursors[room_id] = 0
        self._wanted[room_id] = max(head, self._wanted.get(room_id, 0))
        return self._cursors.setdefault(room_id, 0)

    def paged(self, room_id: int, sequences: Iterable[int]) -> list[int]:
        """Takes a page of ListEvents (ascending, invisible ones left out): the sequences to apply."""
        fresh = [sequence for sequence in sequences if sequence > self._cursors[room_id]]
        if fresh:
            self._cursors[room_id] = fresh[-1]
        return fresh

    def filled(self, room_id: int, *, last_page: bool, asked: int) -> bool:
        """Whether paging can stop; `asked` is what was `wanted` when the page was asked for.

        After the last page whatever is not there up to `asked` is not for this user. What was seen since
        may have been committed after the page was read, so it takes another one.
        """
        if not last_page:
            return False
        self._cursors[room_id] = max(asked, self._cursors[room_id])
        if self._cursors[room_id] < self.wanted(room_id):
            return False
        self._wanted.pop(room_id, None)
        return True
