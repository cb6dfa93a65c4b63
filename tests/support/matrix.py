"""What each fault did: rows of the fault matrix, filled in by the tests and printed after the run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.history import Kind
from tests.support.swarm import Swarm

BEFORE_SECONDS = 30.0
"""For the swarm to run well before a fault is injected: the one before it may have just ended."""
HEAL_SECONDS = 30.0
"""From the end of a fault until everything is as it was, with nobody's help (HEAL)."""
ANSWER_SECONDS = 10.0
"""A send is answered or its connection closed within 5 s (ANSWER); twice that for two busy cores."""


@dataclass
class Row:
    """One fault of the matrix."""

    fault: str
    injected: int = 0
    results: set[str] = field(default_factory=set)
    normal_after: float = 0.0
    """The longest time from the end of the fault until all was normal (seconds)."""


class Matrix:
    """The rows by name, in the order in which they were injected first."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._open: list[tuple[Swarm, Row]] = []
        """Injections whose swarm was not judged yet."""
        self._totals: list[str] = []

    @asynccontextmanager
    async def fault(self, name: str, swarm: Swarm) -> AsyncIterator[None]:
        """Around the injection and the end of a fault. Raises TimeoutError when it does not heal."""
        await swarm.normal(time.monotonic(), BEFORE_SECONDS)
        row = self._row(name)
        row.injected += 1
        self._open.append((swarm, row))
        try:
            yield
            ended = time.monotonic()
            await swarm.normal(ended, HEAL_SECONDS)
        except BaseException:
            row.results.add("failed")
            raise
        row.normal_after = max(row.normal_after, time.monotonic() - ended)

    async def judge(self, swarm: Swarm) -> None:
        """Ends a swarm and judges its rows, nobody else's. Raises AssertionError with what is broken."""
        rows = [row for one, row in self._open if one is swarm]
        self._open = [(one, row) for one, row in self._open if one is not swarm]
        try:
            await swarm.finish()
            broken = await broken_promises(swarm)
        except BaseException:
            _verdict(rows, "the swarm did not end")
            raise
        self._totals.append(_totals(swarm, rows, broken))
        _verdict(rows, f"{len(broken)} violations" if broken else "clean")
        assert broken == [], "\n".join(broken)

    def unjudged(self) -> list[str]:
        """Rows whose swarm nobody has judged: whether anything was lost by them is not known."""
        return sorted({row.fault for _, row in self._open})

    def add(self, name: str, *, seconds: float = 0.0, result: str = "clean") -> None:
        """A row that no swarm was needed for; `seconds` from the end of the fault until all was normal."""
        row = self._row(name)
        row.injected += result == "clean"
        row.normal_after = max(row.normal_after, seconds)
        row.results.add(result)

    def lines(self) -> Iterable[str]:
        """The table, one line a row; nothing when no fault was injected."""
        if not self._rows:
            return
        unjudged = {row.fault for _, row in self._open}
        width = max(map(len, self._rows))
        yield f"{'fault':<{width}} {'injected':>8} {'normal after s':>14}  result"
        for row in self._rows.values():
            result = _result(row.results | ({"not judged"} if row.fault in unjudged else set()))
            yield f"{row.fault:<{width}} {row.injected:>8} {row.normal_after:>14.1f}  {result}"
        yield from self._totals

    def _row(self, name: str) -> Row:
        return self._rows.setdefault(name, Row(name))


async def broken_promises(swarm: Swarm) -> list[str]:
    """Of a swarm that has ended, a sentence each: I1 to I6, complaints, missing and late answers."""
    broken = [*await swarm.judge(), *(f"no answer to {one}" for one in swarm.unanswered())]
    slowest = swarm.journal.slowest_answer
    if slowest > ANSWER_SECONDS:
        broken.append(f"an answer took {slowest:.1f} s")
    return broken + (swarm.caller.late(ANSWER_SECONDS) if swarm.caller else [])


def _verdict(rows: Iterable[Row], result: str) -> None:
    for row in rows:
        row.results.add(result)


def _result(results: set[str]) -> str:
    """`clean`, or everything that was not."""
    return "; ".join(sorted(results - {"clean"})) or "clean"


def _totals(swarm: Swarm, rows: list[Row], broken: list[str]) -> str:
    count = swarm.journal.count(0, float("inf"))
    return (
        f"{len(rows)} faults: {count[Kind.INVOKE]} messages, {count[Kind.OK]} answered `sent`, "
        f"{count[Kind.UNKNOWN]} times unknown at first, {count[Kind.RECEIVE]} deliveries, "
        f"{count[Kind.GAP]} gaps, slowest answer {swarm.journal.slowest_answer:.1f} s "
        f"(these clients stood still for {swarm.journal.stood_still:.1f} s at most), "
        f"{len(broken)} violations"
    )
