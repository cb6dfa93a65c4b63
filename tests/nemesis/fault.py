"""What a fault is to the nemesis: a name, the part it hits, how likely it is and how long it may last."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.support.armed import Armory
from tests.support.stack import Stack
from tests.support.swarm import Swarm
from tests.support.wanderers import Wanderers

RETURN_SECONDS = 120.0
"""For parts that ended to be started again by the supervisor: several at once wait for each other."""


@dataclass(frozen=True)
class World:
    """What faults are done to."""

    stack: Stack
    swarm: Swarm
    wanderers: Wanderers
    armory: Armory
    unreached: Counter[str] = field(default_factory=Counter)
    """By name, faults at a place of a message's way that no message came by in time."""


Inject = Callable[[World, float, random.Random], Awaitable[None]]
"""Does the fault, lets it last that many seconds, and returns when it is over and taken back."""


@dataclass(frozen=True)
class Fault:
    """`name` is unique. Two faults that have a part in common never happen at the same time."""

    name: str
    part: str
    inject: Inject
    seconds: tuple[float, float] = (0.0, 0.0)
    weight: int = 1
    others: tuple[str, ...] = ()
    """Parts that it hits beside `part`."""

    @property
    def parts(self) -> frozenset[str]:
        """All that it hits."""
        return frozenset((self.part, *self.others))
