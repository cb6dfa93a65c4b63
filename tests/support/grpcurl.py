"""grpcurl: the one on PATH, or built once with Go into the user's cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from scripts.stack.layout import cache_folder
from scripts.stack.private_tools import private_tools
from scripts.stack.tools import one_at_a_time, run_tool

MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl"
VERSION = "v1.9.3"
"""Go checks the module and all it needs against the public checksum database."""
BUILD_SECONDS = 900.0


async def grpcurl_program() -> Path:
    """The program. Raises StackError when it can neither be found nor built."""
    if found := shutil.which("grpcurl"):
        return Path(found)
    folder = cache_folder() / f"grpcurl-{VERSION}"
    program = folder / "grpcurl"
    async with one_at_a_time(folder.with_suffix(".lock")):
        if not program.exists():
            folder.mkdir(exist_ok=True)
            found = shutil.which("go")
            go = Path(found) if found else await private_tools("go") / "go"
            env = os.environ | {"GOBIN": str(folder), "CGO_ENABLED": "0"}
            command = (go, "install", f"{MODULE}@{VERSION}")
            await run_tool(command, what="build grpcurl", cwd=folder, env=env, seconds=BUILD_SECONDS)
    return program
