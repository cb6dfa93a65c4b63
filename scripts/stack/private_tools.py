"""Programs that come as wheels and are needed now and then, each in its own environment in the cache."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from scripts.stack.layout import cache_folder
from scripts.stack.tools import one_at_a_time, run_tool

LOCKS = Path(__file__).with_name("wheels")


async def private_tools(name: str) -> Path:
    """The folder of the programs that `wheels/<name>.lock` names, installed once for this user.

    Raises StackError when they cannot be installed.
    """
    lock = LOCKS / f"{name}.lock"
    # By version of the lock file and of Python: the environment points to the Python that made it.
    key = hashlib.sha256(f"{lock.read_text()}\n{sys.base_prefix}\n{sys.version}".encode()).hexdigest()
    folder = cache_folder() / f"{name}-{key[:16]}"
    async with one_at_a_time(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            uv = Path(sys.executable).with_name("uv")
            make = (uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
            await run_tool(make, what=f"make an environment for {name}", cwd=folder.parent)
            fill = (uv, "pip", "install", "--quiet", "--python", folder, "--require-hashes", "-r", lock)
            await run_tool(fill, what=f"install {name}", cwd=folder.parent)
            (folder / "complete").touch()
    return folder / "bin"
