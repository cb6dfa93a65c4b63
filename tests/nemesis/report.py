"""What a run of the nemesis did and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.nemesis.schedule import Step
from tests.support.history import Kind
from tests.support.journal import Journal


@dataclass
class Report:
    """Grows while the nemesis runs. `broken` holds every broken promise in a sentence."""

    seed: int
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    normal_after: list[tuple[float, Step]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)
    slowest_answer: float = 0.0
    stood_still: float = 0.0
    bursts: int = 0
    moves: int = 0
    """Of clients into rooms and out of them."""
    unreached: Counter[str] = field(default_factory=Counter)
    """By name, how many of the faults did not come about in time."""

    def struck(self, step: Step) -> None:
        """Counts the faults of a step that begins."""
        self.faults.update(blow.fault.name for blow in step.blows)

    def healed(self, step: Step, seconds: float) -> None:
        """All was normal this long after the end of the last fault of the step."""
        self.normal_after.append((seconds, step))

    def close(self, journal: Journal, moves: int, broken: Iterable[str]) -> None:
        """Takes the final figures."""
        self.counts = journal.count(0, float("inf"))
        self.slowest_answer = journal.slowest_answer
        self.stood_still = journal.stood_still
        self.bursts = journal.bursts
        self.moves = moves
        self.broken += broken

    def lines(self) -> Iterable[str]:
        """For a person."""
        faults = sum(self.faults.values())
        minutes, kinds = self.seconds / 60, len(self.faults)
        yield f"seed {self.seed}, {minutes:.1f} minutes, {faults} faults of {kinds} kinds"
        width = max(map(len, self.faults), default=0)
        for name, count in sorted(self.faults.items()):
            unreached = f"  ({self.unreached[name]} not reached)" if self.unreached[name] else ""
            yield f"  {name:<{width}} {count:>4}{unreached}"
        yield (
            f"{self.counts[Kind.INVOKE]} sends, {self.bursts} bursts, {self.counts[Kind.OK]} acknowledged, "
            f"{self.counts[Kind.UNKNOWN]} times unknown at first, {self.counts[Kind.FAIL]} refused, "
            f"{self.counts[Kind.RECEIVE]} deliveries, {self.counts[Kind.GAP]} gaps, "
            f"{self.counts[Kind.READ]} receipts, {self.moves} joins and leaves"
        )
        lost, doubled = self._found("lost"), self._found("times in room")
        yield f"{lost} lost, {doubled} doubled, {len(self.broken)} violations"
        slowest, step = max(self.normal_after, key=lambda one: one[0], default=(0.0, None))
        yield (
            f"slowest answer {self.slowest_answer:.1f} s; "
            f"these clients themselves stood still for {self.stood_still:.1f} s at most"
        )
        yield f"slowest time to normal {slowest:.1f} s, after {step}"
        yield from (f"VIOLATION {one}" for one in self.broken)

    def _found(self, words: str) -> int:
        return sum(words in one for one in self.broken)
