"""Which faults come when: drawn from the seed before anything starts, so that a seed means one sequence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.nemesis.fault import Fault

PAUSE_SECONDS = (1.0, 6.0)
"""From the moment all is normal again to the next fault."""
AT_ONCE = (1, 1, 1, 2, 2, 3)
"""How many faults come together, each as likely as it stands here often."""
LATER_SECONDS = 3.0
"""Faults that come together begin within this time."""


@dataclass(frozen=True)
class Blow:
    """One fault at its time: `later` seconds after its step began, lasting `seconds`."""

    fault: Fault
    later: float
    seconds: float
    seed: int

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.fault.name}{lasting} (+{self.later:.1f} s)"


@dataclass(frozen=True)
class Step:
    """Faults that overlap, after a pause in which all was normal."""

    pause: float
    blows: tuple[Blow, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.blows))


def draw(seed: int, faults: Sequence[Fault], steps: int) -> list[Step]:
    """The first `steps` steps of this seed; more steps begin with the same ones."""
    chance = random.Random(seed)
    return [_step(chance, faults) for _ in range(steps)]


def _step(chance: random.Random, faults: Sequence[Fault]) -> Step:
    pause = chance.uniform(*PAUSE_SECONDS)
    chosen: list[Fault] = []
    for _ in range(chance.choice(AT_ONCE)):
        fault = chance.choices(faults, [one.weight for one in faults])[0]
        if all(fault.parts.isdisjoint(other.parts) for other in chosen):
            chosen.append(fault)
    return Step(pause, tuple(_blow(chance, fault, first=not n) for n, fault in enumerate(chosen)))


def _blow(chance: random.Random, fault: Fault, *, first: bool) -> Blow:
    later = 0.0 if first else chance.uniform(0.0, LATER_SECONDS)
    return Blow(fault, later, chance.uniform(*fault.seconds), chance.getrandbits(32))
