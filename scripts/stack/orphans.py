"""What a SIGKILLed PostgreSQL server leaves: backends that still run, a pid file that means nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from scripts.stack.pids import POLL_SECONDS

# A backend notices by itself that its server died, once it is not in the middle of a query.
PATIENCE_SECONDS = 2.0


def processes_in(folder: Path) -> list[int]:
    """The PostgreSQL processes of the data folder `folder`; it is their current folder."""
    target = os.path.realpath(folder)
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _folder_of(entry) == target]


def _folder_of(entry: Path) -> str | None:
    """The current folder of a PostgreSQL process; None when it ended, or is somebody's shell, say."""
    with contextlib.suppress(OSError):
        if (entry / "comm").read_text() != "postgres\n":
            return None
        return str((entry / "cwd").readlink())
    return None


def end_all_in(folder: Path) -> None:
    """Wait until no process works in `folder`, and end the ones that do not go by themselves.

    A new server refuses to start while an old backend holds the shared memory.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while pids := processes_in(folder):
        if time.monotonic() > deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def remove_stale_pid_file(folder: Path) -> None:
    """Remove postmaster.pid when no process works in `folder`.

    PostgreSQL trusts the number in it, and after a reboot or in a new container it may be anybody's.
    """
    if Path("/proc/self").exists() and not processes_in(folder):
        (folder / "postmaster.pid").unlink(missing_ok=True)
