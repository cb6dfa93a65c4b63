"""Go, for what is built on demand: the one on PATH when it is new enough, else the one in a wheel."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from scripts.stack.private_tools import private_tools
from scripts.stack.tools import run_tool

OLDEST_GO = (1, 22)


async def go_program() -> Path:
    """The path of `go`. Raises StackError when there is none and none can be installed."""
    if found := shutil.which("go"):
        version = await run_tool((found, "version"), what="ask Go for its version", cwd=Path.cwd())
        if is_new_enough(version):
            return Path(found)
    return await private_tools("go") / "go"


def is_new_enough(version: str) -> bool:
    """Whether the answer of `go version` is at least OLDEST_GO."""
    match = re.search(r"go(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST_GO
