"""`up --detach`: the supervisor as a background process, and the wait until it is ready."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from scripts.stack.layout import ROOT, Layout, Wish


def start_and_wait(layout: Layout, wish: Wish, remove_data: bool) -> int:
    """Start the supervisor and repeat what it prints; return 0 when all is ready, else its exit status."""
    options = [
        *("--data", str(layout.data), "--http-port", str(wish.ports.http), "--edges", str(wish.edges)),
        *("--grpc-base-port", str(wish.ports.grpc_base), "--parts-base-port", str(wish.ports.parts_base)),
        *(["--parts-only"] if wish.parts_only else []),
        *(["--remove-data"] if remove_data else []),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.stack", "up", "--background", *options],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 (for the type checker: it was asked for)
    try:
        # The supervisor leaves this pipe when it is ready, and so does its death.
        for line in process.stdout:
            print(line, end="", flush=True)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        return process.wait() or 1
    if _is_ready(layout, process.pid):
        return 0
    return process.wait() or 1


def _is_ready(layout: Layout, pid: int) -> bool:
    try:
        document = json.loads(layout.state_file.read_text())
    except FileNotFoundError:
        return False
    return bool(document["pid"] == pid and document["state"] == "ready")


def leave_terminal(layout: Layout) -> None:
    """Close the pipe to the caller of `up --detach`; what goes wrong from now on is told in up.log."""
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    log = os.open(layout.log("up"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(nowhere, 1)
    os.dup2(log, 2)
    os.close(nowhere)
    os.close(log)
