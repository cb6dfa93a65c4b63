"""A port for a listener of a test."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PORTS = range(21_000, 21_300)
"""Below the range of outgoing connections, so that none of those takes it in between."""


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now. RuntimeError when all are taken."""
    for port in random.sample(PORTS, len(PORTS)):
        if is_free(port):
            return port
    raise RuntimeError(f"no port of {PORTS.start}-{PORTS.stop - 1} is free")


@contextmanager
def free_block(bases: Sequence[int], count: int) -> Iterator[int]:
    """The first of `count` ports that are all free now, and while the block lasts nobody else's who asks
    here: several stacks may be started at the same moment. RuntimeError when there is none.
    """
    for base in random.sample(bases, len(bases)):
        with (Path(tempfile.gettempdir()) / f"polychat-ports-{base}.lock").open("a") as lock:
            if _locked(lock) and all(is_free(port) for port in range(base, base + count)):
                yield base
                return
    raise RuntimeError(f"no block of {count} ports is free from {min(bases)} to {max(bases) + count}")


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
