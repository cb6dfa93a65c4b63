"""CPU seconds of a stack by process, read from /proc: everything that descends from the supervisor."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def by_part(supervisor: int, pids: dict[int, str]) -> dict[str, float]:
    """User and system seconds so far of each part and of the supervisor itself (`up`).

    A process belongs to the nearest ancestor in `pids` (PostgreSQL's backends to `postgres`); ended
    children count with the parent that waited for them.
    """
    stats = _stats()
    used: dict[str, float] = defaultdict(float)
    for pid, (_, seconds) in stats.items():
        owner = _owner(pid, stats, {supervisor: "up", **pids})
        if owner is not None:
            used[owner] += seconds
    return dict(used)


def _owner(pid: int, stats: dict[int, tuple[int, float]], owners: dict[int, str]) -> str | None:
    while pid in stats:
        if pid in owners:
            return owners[pid]
        pid = stats[pid][0]
    return None


def _stats() -> dict[int, tuple[int, float]]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while we looked
            seconds = sum(int(value) for value in fields[11:15]) / TICKS
            found[int(folder.name)] = (int(fields[1]), seconds)
    return found
