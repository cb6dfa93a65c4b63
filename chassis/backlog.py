"""How much work may wait: about as much as gets done in half a second, so that what is let in ends in time.

A queue that only its length bounds is of no use under overload: everything waits until its caller has
given up, comes again, and the process works for nobody (metastable failure). What is over the bound is
refused at once instead, while it costs nothing and nothing has changed. And one room may only take a part
of the queue, so that a hot one keeps itself waiting and not the others.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from chassis.errors import Overloaded

WAIT_SECONDS = 0.5
"""How long what is let in last should wait: far less than the 5 s after which its caller is told
OUTCOME_UNKNOWN, and the 2 s after which it is asked for."""
AT_LEAST = 500
"""Allowed however little was done lately: a burst after silence, or what waits for a part to come back."""
SHARE_OF_A_ROOM = 5
"""One room may fill one of so many parts."""
REMEMBERED_SECONDS = 5
"""The best of these counts, so that a pause of the broker does not make a slow system of a fast one."""
COME_BACK_SECONDS = (1.0, 3.0)
"""Told to who is refused, at random between these, so that they do not come back together."""


class Backlog:
    """What waits, by room, and whether one more may. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], *, most: int) -> None:
        self._clock = clock
        self._most = most
        self._waiting = 0
        self._of_room: dict[int, int] = {}
        self._second = int(clock())
        self._done = 0
        self._rates: deque[int] = deque(maxlen=REMEMBERED_SECONDS)

    @property
    def limit(self) -> int:
        """How many may wait now."""
        self._turn()
        best = max(self._rates, default=0)
        return min(self._most, max(AT_LEAST, int(best * WAIT_SECONDS)))

    def check(self, room_id: int) -> None:
        """Raises Overloaded, with the time to come back, when one more for this room may not wait."""
        of_room = self._of_room.get(room_id, 0)
        if self._waiting < self._least and of_room < self._least // SHARE_OF_A_ROOM:
            return
        limit = self.limit
        if self._waiting >= limit or of_room >= max(1, limit // SHARE_OF_A_ROOM):
            raise Overloaded(retry_after=random.uniform(*COME_BACK_SECONDS))  # noqa: S311 — spreads retries

    def enter(self, room_id: int) -> None:
        """One more waits."""
        self._waiting += 1
        self._of_room[room_id] = self._of_room.get(room_id, 0) + 1

    def admit(self, room_id: int) -> None:
        """Lets one more wait, or raises Overloaded."""
        self.check(room_id)
        self.enter(room_id)

    def leave(self, room_id: int) -> None:
        """One that entered waits no longer, whatever became of it."""
        self._waiting -= 1
        self._of_room[room_id] -= 1
        if not self._of_room[room_id]:
            del self._of_room[room_id]

    def done(self) -> None:
        """One piece of work reached its end, whether somebody still waits for it or not."""
        self._turn()
        self._done += 1

    @property
    def _least(self) -> int:
        return min(AT_LEAST, self._most)

    def _turn(self) -> None:
        second = int(self._clock())
        if second > self._second:
            self._rates.append(self._done)
            self._rates.extend([0] * min(REMEMBERED_SECONDS, second - self._second - 1))
            self._second, self._done = second, 0
