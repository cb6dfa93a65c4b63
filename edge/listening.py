"""The listening socket: shared by the edge processes of a machine, strict with dead peers.

No TCP_USER_TIMEOUT: Linux counts it against a peer whose window stays smaller than our next packet, and so
would cut a slow reader that is well. Who is gone is found by heartbeats and by `Bounds.stalled`.
"""

from __future__ import annotations

import asyncio
import socket

BACKLOG = 4096
KEEPALIVE_IDLE_SECONDS = 60
KEEPALIVE_INTERVAL_SECONDS = 15
KEEPALIVE_PROBES = 4
UNSENT_BYTES = 16 * 1024
"""What the kernel takes ahead of the peer; the rest stays here, where it is counted (bounds.py)."""
BIND_SECONDS = 10.0


async def listen(host: str, port: int) -> socket.socket:
    """A socket with SO_REUSEPORT; accepted ones inherit its options. OSError after 10 s of a port in use."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BIND_SECONDS
    while True:
        try:
            return _bind(host, port)
        except OSError as error:
            if loop.time() > deadline:
                raise OSError(
                    f"HTTP port {host}:{port} is in use; free it or set POLYCHAT_HTTP_PORT"
                ) from error
            await asyncio.sleep(0.2)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_NODELAY, 1),
            (socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS),
            (socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS),
            (socket.TCP_KEEPCNT, KEEPALIVE_PROBES),
            (socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES),
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
