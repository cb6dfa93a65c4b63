"""Consul built from its source with Go, where there is no package of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from scripts.stack.go import go_program
from scripts.stack.tools import run_tool

SOURCE = Path(__file__).with_name("consul_source")
BUILD_SECONDS = 1800.0


async def build_consul(work: Path) -> Path:
    """Build in the folder `work` and return the program; modules are checked against the committed go.sum.

    Takes 3 to 5 minutes and 1 GB of Go's own caches. Raises StackError when it cannot be built.
    """
    go = await go_program()
    module = work / "source"
    shutil.copytree(SOURCE, module)
    program = work / "consul"
    options = ("-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", program)
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    command = (go, "build", *options, "github.com/hashicorp/consul")
    await run_tool(command, what="build Consul with Go", cwd=module, env=env, seconds=BUILD_SECONDS)
    return program
