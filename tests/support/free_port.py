"""A port for a listener of a test."""

from __future__ import annotations

import random
import socket

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
