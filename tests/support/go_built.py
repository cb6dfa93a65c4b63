"""Programs in Go that tests use, built once into the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.stack.go import go_program
from scripts.stack.layout import cache_folder
from scripts.stack.tools import one_at_a_time, run_tool

BUILD_SECONDS = 900.0


async def go_built(name: str, package: str, version: str) -> Path:
    """The program that `go install package@version` makes. Raises StackError when it cannot be built.

    Go checks the module and all it needs against the public checksum database.
    """
    folder = cache_folder() / f"{name}-{version}"
    program = folder / package.rpartition("/")[2]
    async with one_at_a_time(folder.with_suffix(".lock")):
        if not program.exists():
            folder.mkdir(exist_ok=True)
            env = os.environ | {"GOBIN": str(folder), "CGO_ENABLED": "0"}
            command = (await go_program(), "install", f"{package}@{version}")
            await run_tool(command, what=f"build {name}", cwd=folder, env=env, seconds=BUILD_SECONDS)
    return program
