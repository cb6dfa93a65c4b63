"""Is a port free, and if not, who has it?"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from scripts.stack.errors import StackError


def check_free(port: int, part: str, option: str) -> None:
    """Raise StackError, naming the holder where it can be known, when somebody listens on `port`."""
    for address in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 (a test of who listens there)
        with socket.socket() as probe:
            # As servers do; without it a connection that ended a minute ago counts as a listener.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise StackError(
                    f"Port {port} for {part} is in use{holder(port)}: stop that, or choose another with "
                    f"{option} ({error.strerror})."
                ) from error


def holder(port: int) -> str:
    """` by NAME (pid N)` for the process that has `port`, or nothing when it is not ours to see.

    It may be one end of an outgoing connection: above 32767 the system gives those any free port.
    """
    inodes = _inodes_of(port)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                target = str(descriptor.readlink())
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    return f" by {(entry / 'comm').read_text().strip()} (pid {entry.name})"
    return ""


def _inodes_of(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes
