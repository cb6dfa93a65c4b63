"""What each fault did to a swarm: one row a fault, printed at the end of the run."""

from __future__ import annotations

import time

from tests.support.history import Kind
from tests.support.journal import Journal

HEADER = f"{'fault':<18} {'sent':>6} {'unknown':>8} {'lasted s':>9} {'first s':>8} {'all s':>8}"


class FaultTable:
    """Seconds count from the beginning of the fault: its end, the first new `sent`, everybody's."""

    def __init__(self) -> None:
        self._rows = [HEADER]

    def add(self, fault: str, journal: Journal, began: float, ended: float) -> None:
        """A row for a fault after which every client has sent again."""
        answers = journal.first_answers(began).values()
        seen = journal.count(began, time.monotonic())
        seconds = (ended - began, min(answers) - began, max(answers) - began)
        times = "".join(f" {value:>8.1f}" for value in seconds)
        self._rows.append(f"{fault:<18} {seen[Kind.OK]:>6} {seen[Kind.UNKNOWN]:>8} {times}")

    def close(self, journal: Journal, violations: int) -> None:
        """The last line: the whole run in figures."""
        count = journal.count(0, float("inf"))
        self._rows.append(
            f"{count[Kind.INVOKE]} messages, {count[Kind.OK]} answered `sent`, "
            f"{count[Kind.RECEIVE]} deliveries, {count[Kind.GAP]} gaps, "
            f"slowest answer {journal.slowest_answer:.1f} s, {violations} violations"
        )

    def __str__(self) -> str:
        return "\n".join(self._rows)
