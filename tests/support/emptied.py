"""Parts that die and lose what they had stored."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from tests.support.stack import Stack

STORES = {"redis": "redis/appendonlydir", "consul": "consul/data", "kafka": "kafka/log"}
"""Folder below the stack's data, by part."""
KEPT = {"__cluster_metadata-0", "meta.properties", "bootstrap.checkpoint"}
"""Of Kafka's; without these it is another cluster, which only the operator can make."""


def killed_and_emptied(stack: Stack, part: str) -> int:
    """It stands still while its files are removed, and writes none anew; the supervisor starts it again.

    Gives the pid that it had.
    """
    pid = stack.pid(part)
    os.kill(pid, signal.SIGSTOP)
    try:
        _empty(stack.data / STORES[part])
    finally:
        os.kill(pid, signal.SIGKILL)
    return pid


def _empty(store: Path) -> None:
    for entry in store.iterdir():
        if entry.name not in KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
