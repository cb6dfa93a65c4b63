"""Which partitions this process was given, which of them it works on, and why the others wait.

A partition is waiting (to be claimed or tried again at a time) or working. No I/O, no clock of its own:
times are seconds of the caller's clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chassis.kafka import PARTITIONS

FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 5.0
RECLAIM_SECONDS = 3.0
"""How long one that was fenced waits before it claims again what the group still gives to it: longer
than the group takes to tell a zombie, so that two owners never take turns."""


DOUBT_SECONDS = 5.0
"""How long a log must have been another one than we stand in before that is believed: a broker that has
just come back may not know all of its records yet."""
DOUBT_ENDS_SECONDS = 30.0
"""A doubt that was not renewed for this long is over."""


@dataclass(slots=True)
class Doubt:
    """Why a partition's log seems to be another one, since when, and when it last did."""

    why: str
    since: float
    last: float


@dataclass(slots=True)
class Waiting:
    """A partition that is not worked on now."""

    due: float
    claim: bool
    """True: become the owner; False: still the owner, read where it stands."""
    delay: float = FIRST_DELAY_SECONDS


class Ownership:
    """The partitions that the consumer group gave to this process."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}
        self._working: set[int] = set()
        self._doubts: dict[int, Doubt] = {}
        self._delays: dict[int, float] = {}

    @property
    def working(self) -> frozenset[int]:
        """Partitions whose records are being committed."""
        return frozenset(self._working)

    @property
    def doubted(self) -> dict[int, str]:
        """Partitions that wait because their log is not the one we stand in, and what is wrong."""
        return {p: doubt.why for p, doubt in self._doubts.items() if p in self._waiting}

    @property
    def assigned(self) -> frozenset[int]:
        """All that the group gave to us."""
        return frozenset(self._working | self._waiting.keys())

    @property
    def shared(self) -> bool:
        """Others work on partitions too, and could take ours."""
        return 0 < len(self.assigned) < PARTITIONS

    def assign(self, partitions: Iterable[int], now: float) -> None:
        """The group gives partitions: each must be claimed first."""
        for partition in partitions:
            self._waiting[partition] = Waiting(now, claim=True)

    def revoke(self) -> frozenset[int]:
        """The group takes everything back. Gives what was assigned."""
        gone = self.assigned
        for part in (self._waiting, self._doubts, self._delays):
            part.clear()
        self._working.clear()
        return gone

    def due(self, now: float) -> dict[int, Waiting]:
        """Those to be tried now."""
        return {partition: wait for partition, wait in self._waiting.items() if wait.due <= now}

    def start(self, partition: int, wait: Waiting) -> bool:
        """Begins to work, unless the group decided otherwise since `due` gave this wait."""
        if self._waiting.get(partition) is not wait:
            return False
        del self._waiting[partition]
        self._working.add(partition)
        return True

    def wait(self, partitions: Iterable[int], now: float, *, claim: bool) -> None:
        """Sets partitions aside for a while that doubles until something of theirs is committed."""
        for partition in partitions:
            delay = self._delays.get(partition, FIRST_DELAY_SECONDS)
            self._delays[partition] = min(delay * 2, LONGEST_DELAY_SECONDS)
            self._put_aside(partition, Waiting(now + delay, claim))

    def fenced(self, partitions: Iterable[int], now: float) -> None:
        """Somebody else owns these; claim again only if the group still says they are ours by then."""
        for partition in partitions:
            self._put_aside(partition, Waiting(now + RECLAIM_SECONDS, claim=True))

    def doubt(self, partition: int, why: str, now: float) -> bool:
        """Notes that a partition's log is not the one we stand in; True once it has been so for long."""
        doubt = self._doubts.get(partition)
        if doubt is None or now - doubt.last > DOUBT_ENDS_SECONDS:
            doubt = self._doubts[partition] = Doubt(why, now, now)
        doubt.why, doubt.last = why, now
        return now - doubt.since >= DOUBT_SECONDS

    def committed(self, partitions: Iterable[int]) -> None:
        """Something went well: the next trouble starts with a short wait."""
        for partition in partitions:
            self._delays.pop(partition, None)
            self._doubts.pop(partition, None)

    def _put_aside(self, partition: int, wait: Waiting) -> None:
        if partition in self._working or partition in self._waiting:
            self._working.discard(partition)
            self._waiting[partition] = wait
