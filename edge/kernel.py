"""What the kernel tells of a TCP connection's way out (tcp(7))."""

from __future__ import annotations

import fcntl
import socket
import sys
import termios

BYTES_ACKED_AT = 120
"""Of `tcpi_bytes_acked` in struct tcp_info, a uint64."""


def acknowledged(sock: socket.socket) -> int:
    """Bytes that the peer has taken since the beginning."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED_AT + 8)
    return int.from_bytes(info[BYTES_ACKED_AT:], sys.byteorder)


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel has and the peer has not taken."""
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
