"""The README's walk, run as it stands: only its ports are those of this run's stack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.stack import ROOT, Stack

WALK = re.compile(r"<!-- walk:.*?-->\n```sh\n(.*?)```", re.DOTALL)


def walk(stack: Stack) -> str:
    """The lines of the README, with the ports of a stack."""
    found = WALK.search((ROOT / "README.md").read_text())
    assert found is not None, "README.md has no walk"
    ports = {
        "localhost:8080": stack.http_url.removeprefix("http://"),
        "localhost:50053": stack.grpc_address("chat"),
    }
    text = found[1]
    for told, here in ports.items():
        assert told in text
        text = text.replace(told, here)
    return text


def test_the_walk_works(stack: Stack, grpcurl: Path) -> None:
    """curl, grpcurl and the terminal client send to one room, and its tail shows all three, in order."""
    folders = (str(Path(sys.executable).parent), str(grpcurl.parent), os.environ["PATH"])
    done = subprocess.run(
        ["sh", "-eu", "-c", walk(stack)],
        env={**os.environ, "PATH": os.pathsep.join(folders), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "polychat.chat.v1.RoomService" in done.stdout
    tail = done.stdout.splitlines()[-3:]
    assert [line.partition(" ")[2] for line in tail] == [
        "anna: hello from curl",
        "anna: hello from grpcurl",
        "anna: hello from the terminal",
    ]
