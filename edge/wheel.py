"""One timer for all connections: each peer has at most one alarm, at a tick of the wheel."""

from __future__ import annotations

import math
from collections.abc import Callable

from edge.peer import Peer


class Wheel:
    """Peers by the tick at which somebody has to look at them. No task, no timer handle a peer."""

    def __init__(self, tick_seconds: float, clock: Callable[[], float]) -> None:
        self.tick_seconds = tick_seconds
        self._clock = clock
        self._start = clock()
        self._now = 0
        self._due: dict[int, set[Peer]] = {}

    def set(self, peer: Peer, seconds: float) -> None:
        """Looks at the peer in this many seconds, in place of any alarm it had."""
        self.cancel(peer)
        passed = self._clock() - self._start
        peer.alarm = max(self._now + 1, math.ceil((passed + seconds) / self.tick_seconds))
        self._due.setdefault(peer.alarm, set()).add(peer)

    def cancel(self, peer: Peer) -> None:
        """Forgets the peer's alarm."""
        if peer.alarm:
            peers = self._due.get(peer.alarm)
            if peers is not None:
                peers.discard(peer)
            peer.alarm = 0

    def advance(self) -> list[Peer]:
        """The peers whose alarm is due by now."""
        target = int((self._clock() - self._start) / self.tick_seconds)
        due: list[Peer] = []
        while self._now < target:
            self._now += 1
            due.extend(self._due.pop(self._now, ()))
        for peer in due:
            peer.alarm = 0
        return due
