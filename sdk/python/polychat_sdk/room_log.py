"""Which events of a room a client has: the rule of contiguity, without I/O.

Apply an event only when its sequence is the cursor + 1, ignore a lower one, fetch when it is higher.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable

HELLO_ROOMS = 1000
"""Cursors that a `hello` takes."""
FROM_FIRST = 1
"""Where a room begins that was joined nobody knows when: with the first event that the user may see."""


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
        self._named: frozenset[int] = frozenset()
        """The rooms of the last `hello` that the server goes by: what they missed is replayed."""
        self.epoch = 0
        """Of the log that the cursors are of: what `hello` says with them."""

    def cursors(self) -> dict[int, int]:
        """Room → last sequence applied: what `hello` says after a lost connection."""
        return dict(self._cursors)

    def named(self) -> dict[int, int]:
        """The cursors that fit into `hello`, which has them from now on: the next welcome is its answer."""
        named = dict(itertools.islice(self._cursors.items(), HELLO_ROOMS))
        self._named = frozenset(named)
        return named

    def knows(self, room_id: int) -> bool:
        """Whether the room has begun."""
        return room_id in self._cursors

    def restored(self, epoch: int, told: Iterable[int], reset: Iterable[int]) -> list[int]:
        """Takes the epoch of a `welcome`, the rooms that it tells and those that it resets; gives those whose
        copy is void.

        After a restore a copy holds only if `hello` named it, `welcome` tells its room without a reset, and
        nothing of it is being fetched: all else was judged by nobody, or goes by the log before. Nothing is
        there of a void copy from now on. A reset one gets a `gap`, the others begin again with their head.
        """
        undone = set(reset)
        if epoch != self.epoch:
            holds = self._named.intersection(told) - undone - self._wanted.keys()
            self._named = holds | undone
            undone |= self._cursors.keys() - holds
        self.epoch = epoch
        void = [room_id for room_id in self._cursors if room_id in undone]
        for room_id in void:
            self._wanted.pop(room_id, None)
            self._cursors[room_id] = 0
        return void

    def begin(self, room_id: int, head: int, joined_sequence: int = 0) -> Verdict:
        """A room of the user that stands at this head, as `welcome` or ListRooms says.

        One that was not known begins there; with `joined_sequence` it was joined while this client was away,
        and begins with the joining. One that is known and was not in `hello` may have moved meanwhile, and
        nobody replays that.
        """
        if room_id not in self._cursors:
            self._cursors[room_id] = joined_sequence - 1 if joined_sequence else head
        elif room_id in self._named:
            return Verdict.IGNORE
        if head <= self._cursors[room_id]:
            return Verdict.IGNORE
        self._wanted[room_id] = max(head, self._wanted.get(room_id, 0))
        return Verdict.FETCH

    def judge(self, room_id: int, sequence: int, *, later: bool = False) -> Verdict:
        """What to do with a live or replayed event; APPLY moves the cursor. `later`: it cannot do so now."""
        cursor = self._cursors.setdefault(room_id, sequence - 1)
        if sequence <= cursor:
            return Verdict.IGNORE
        if later or room_id in self._wanted or sequence > cursor + 1:
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
