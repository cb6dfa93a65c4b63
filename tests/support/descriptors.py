"""Takes the last free descriptor from running processes, and gives them back."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def without_descriptors(*pids: int) -> Iterator[None]:
    """What is open stays open, and nothing more can be opened while the block lasts (RLIMIT_NOFILE)."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    try:
        for pid, (_, hard) in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_first_free(pid), hard))
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def cpu_seconds(*pids: int) -> float:
    """What processes have used of the processors since they began."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _first_free(pid: int) -> int:
    """The number that the next descriptor would get: a limit of it leaves none (getrlimit(2))."""
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in itertools.count() if number not in taken)
