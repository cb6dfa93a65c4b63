"""Pid files that survive their writer, and the ending of processes that a killed supervisor left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

SUPERVISOR = "up"
POLL_SECONDS = 0.05


def birth(pid: int) -> str | None:
    """A text that no other process of this pid ever had: boot and start time; None for no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _birth_by_ps(pid)
    except ProcessLookupError:
        return None
    # The command in parentheses may hold anything, so count from its end: state is field 3, start time 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"


def _birth_by_ps(pid: int) -> str | None:
    answer = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None


def write(folder: Path, name: str, pid: int) -> None:
    """Note that `name` is `pid`, and its birth, so that a later process of this pid is not taken for it."""
    (folder / f"{name}.birth").write_text((birth(pid) or "") + "\n")
    (folder / f"{name}.pid").write_text(f"{pid}\n")


def remove(folder: Path, name: str) -> None:
    (folder / f"{name}.pid").unlink(missing_ok=True)
    (folder / f"{name}.birth").unlink(missing_ok=True)


def alive(folder: Path, name: str) -> int | None:
    """The pid noted for `name` when that very process still lives."""
    try:
        pid = int((folder / f"{name}.pid").read_text())
        noted = (folder / f"{name}.birth").read_text().strip()
    except (FileNotFoundError, ValueError):
        return None
    return pid if noted and birth(pid) == noted else None


def forget_dead(folder: Path) -> None:
    """Remove the files of processes that ended without anybody to note it."""
    for path in folder.glob("*.pid"):
        if not alive(folder, path.stem):
            remove(folder, path.stem)


def left_over(folder: Path) -> list[str]:
    """The noted processes that still live, in the order in which to end them; never the supervisor."""
    names = sorted((path.stem for path in folder.glob("*.pid")), key=_stop_rank)
    return [name for name in names if name != SUPERVISOR and alive(folder, name)]


def _stop_rank(name: str) -> int:
    backing = ("consul", "kafka", "redis", "postgres")
    if name.startswith("edge"):
        return 0
    return 2 + backing.index(name) if name in backing else 1


def end(folder: Path, name: str, seconds: float) -> None:
    """End the process noted for `name`: politely, and after `seconds` by SIGKILL; then forget it."""
    polite = signal.SIGINT if name == "postgres" else signal.SIGTERM
    for number, patience in ((polite, seconds), (signal.SIGKILL, 10.0)):
        pid = alive(folder, name)
        if pid is None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        wait_gone(folder, name, patience)
    remove(folder, name)


def wait_gone(folder: Path, name: str, seconds: float) -> bool:
    """Whether the process noted for `name` ends within `seconds`; its files vanish earlier."""
    pid = alive(folder, name)
    noted = birth(pid) if pid else None
    deadline = time.monotonic() + seconds
    while pid and noted and birth(pid) == noted:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
