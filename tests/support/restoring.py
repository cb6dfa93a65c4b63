"""The commands that take a stack away and bring it back, as a person types them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.stack import ROOT, START_SECONDS, Stack

RUN = "from scripts.cli.main import main; main()"


def polychat(*arguments: str) -> str:
    """What `polychat …` prints. Raises AssertionError when it does not end well."""
    done = run_polychat(*arguments)
    assert done.returncode == 0, f"polychat {arguments[0]} ended with {done.returncode}: {done.stderr}"
    return done.stdout


def run_polychat(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, whatever that is."""
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=ROOT,
        timeout=START_SECONDS,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


async def destroy_and_restore(stack: Stack, backup: Path) -> None:
    """Everything of a stack is gone; the backup is all there is. It runs again on the same ports."""
    parts, grpc, http = (stack.part(name)["port"] for name in ("postgres", "auth", "edge-1"))
    data = ("--data", str(stack.data))
    ports = ("--parts-base-port", str(parts))
    await asyncio.to_thread(polychat, "down", *data)
    shutil.rmtree(stack.data)
    await asyncio.to_thread(polychat, "restore", "--from", str(backup), *data, *ports)
    others = ("--grpc-base-port", str(grpc - 1), "--http-port", str(http))
    await asyncio.to_thread(polychat, "up", "--detach", *data, *ports, *others)
