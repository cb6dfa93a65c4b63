"""Every process of a stack dies in the same moment, its supervisor too; `up` on the same data goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from tests.support.armed import FOLDER
from tests.support.stack import Stack, command


def kill_all(stack: Stack) -> None:
    """The supervisor first, so that it restarts nothing, then every part."""
    files = sorted((stack.data / "run").glob("*.pid"), key=lambda file: file.stem != "up")
    for pid in [int(file.read_text()) for file in files]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def up_again(stack: Stack, failpoints: Path) -> subprocess.CompletedProcess[str]:
    """`up` with the ports it had; processes find their failpoints in that folder."""
    urls = stack.state()["urls"]
    kafka = int(urls["kafkaBootstrap"].rpartition(":")[2])
    options = {
        "--data": str(stack.data),
        "--parts-base-port": str(kafka - 2),
        "--grpc-base-port": str(urls["grpcPorts"]["edge"]),
        # Not that of `http_url`, which may lead through something else.
        "--http-port": str(stack.part("edge-1")["port"]),
    }
    words = [word for pair in options.items() for word in pair]
    return command("up", "--detach", *words, **{FOLDER: str(failpoints)})
