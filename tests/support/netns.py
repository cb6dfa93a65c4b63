"""A network of our own, in which single directions of single ports fall silent.

Packets vanish in the kernel: nobody acknowledges them, nobody says so, and sockets stay established. A
proxy cannot do that, it acknowledges everything.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

CLONE_NEWNET = 0x40000000
DEVICE = "lo"
SILENT = "1:1"
"""A class of the loopback's queue that lets one packet through in some minutes and keeps none waiting."""
PRIORITY = "1"


class Unsupported(Exception):  # noqa: N818 — a reason to skip
    """This machine does not let us; the text says what is needed."""


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and every process it starts, on a loopback that nobody else has.

    Raises Unsupported. What runs in there when the block ends keeps the network until it ends itself.
    """
    if os.geteuid() != 0:
        raise Unsupported("root, to make a network namespace")
    if shutil.which("ip") is None or shutil.which("tc") is None:
        raise Unsupported("ip and tc of iproute2")
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise Unsupported(f"network namespaces ({os.strerror(ctypes.get_errno())})")
        try:
            _prepare()
            yield
        finally:
            if libc.setns(before.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot return to the machine's network")


@contextmanager
def one_way_silence(direction: Literal["to", "from"], port: int) -> Iterator[None]:
    """What goes to a server's port, or what comes from it, vanishes while the block lasts."""
    match = ("match", "ip", {"to": "dport", "from": "sport"}[direction], str(port), "0xffff")
    rule = ("dev", DEVICE, "parent", "1:", "protocol", "ip", "prio", PRIORITY)
    _run("tc", "filter", "add", *rule, "u32", *match, "flowid", SILENT)
    try:
        yield
    finally:
        _run("tc", "filter", "del", *rule)


def _prepare() -> None:
    _run("ip", "link", "set", DEVICE, "up")
    try:
        _run("tc", "qdisc", "add", "dev", DEVICE, "root", "handle", "1:", "htb")
        slow = ("htb", "rate", "8bit", "burst", "1", "cburst", "1", "quantum", "1500")
        _run("tc", "class", "add", "dev", DEVICE, "parent", "1:", "classid", SILENT, *slow)
        _run("tc", "qdisc", "add", "dev", DEVICE, "parent", SILENT, "pfifo", "limit", "1")
        with one_way_silence("to", 1):
            pass
    except subprocess.CalledProcessError as error:
        raise Unsupported(f"htb and u32 in the kernel ({error.stderr.strip()})") from error


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
