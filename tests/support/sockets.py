"""The sockets of another process of ours, to look at and to change."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

PIDFD_GETFD = 438
"""The same number on every architecture of Linux; Python has no name for it yet."""


def sockets_of(pid: int) -> Iterator[socket.socket]:
    """Each socket, shared with the process until the next. PermissionError where ptrace is forbidden."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if not str(descriptor.readlink()).startswith("socket:"):
                    continue
            taken = libc.syscall(PIDFD_GETFD, process, int(descriptor.name), 0)
            if taken < 0 and ctypes.get_errno() == errno.EBADF:
                continue  # closed meanwhile
            if taken < 0:
                raise PermissionError(ctypes.get_errno(), f"no descriptor of process {pid} can be taken")
            with socket.socket(fileno=taken) as shared:
                yield shared
    finally:
        os.close(process)


def peer_port(end: socket.socket) -> int | None:
    """The port at the other end of a TCP connection; None for anything else."""
    if end.type != socket.SOCK_STREAM or end.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        return int(end.getpeername()[1])
    except OSError:
        return None  # it listens, or has just been closed


def asks_the_silent(end: socket.socket, seconds: int) -> bool:
    """Whether a TCP connection ends when its peer has answered nothing for so long, even if it is idle."""
    if end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0:
        return False
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    idle, interval, probes = (end.getsockopt(socket.IPPROTO_TCP, name) for name in names)
    return idle + interval * probes <= seconds
