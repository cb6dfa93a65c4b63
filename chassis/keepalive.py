"""When TCP itself asks whether a silent peer is still there (RFC 9293, 3.8.4)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

IDLE_SECONDS: Final = 10
INTERVAL_SECONDS: Final = 3
PROBES: Final = 3
"""Gone after IDLE_SECONDS + PROBES * INTERVAL_SECONDS: the kernel's own idle time is two hours."""

_WANTED = (("TCP_KEEPIDLE", IDLE_SECONDS), ("TCP_KEEPINTVL", INTERVAL_SECONDS), ("TCP_KEEPCNT", PROBES))

KEEPALIVE: Final[Mapping[int, int]] = {
    getattr(socket, name): value for name, value in _WANTED if hasattr(socket, name)
}
"""Options at the level IPPROTO_TCP, beside SO_KEEPALIVE; those that this system knows."""


def keep_alive(sock: socket.socket) -> None:
    """Turns it on. The socket must be one of TCP."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
