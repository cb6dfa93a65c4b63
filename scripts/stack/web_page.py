"""The web page: built from `web/` when its sources are newer than what was built last."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

from scripts.stack.layout import ROOT, cache_folder
from scripts.stack.private_tools import private_tools
from scripts.stack.tools import one_at_a_time, run_tool

WEB = ROOT / "web"
OLDEST_NODE = (20, 19)
MADE = frozenset({"node_modules", "dist"})


class WebPage:
    """Built once per `up`, by whoever asks first; the others wait for it."""

    def __init__(self, web: Path = WEB) -> None:
        self._web = web
        self._turn = asyncio.Lock()

    async def build(self) -> None:
        """Return when the page is built; raise StackError when it cannot be."""
        async with self._turn:
            if not is_stale(self._web):
                return
            # Two stacks of one repository would write the same files.
            async with one_at_a_time(cache_folder() / "web.lock"):
                if is_stale(self._web):
                    await _build(self._web)


def is_stale(web: Path) -> bool:
    """Whether there is a page to build, and none built or a source newer than it."""
    if not (web / "package.json").exists():
        return False
    built = web / "dist" / "index.html"
    return not built.exists() or _newest(web) > built.stat().st_mtime


def _newest(web: Path) -> float:
    """When the youngest source changed."""
    newest = 0.0
    for folder, folders, files in os.walk(web):
        if Path(folder) == web:
            folders[:] = [name for name in folders if name not in MADE]
        newest = max([newest, *((Path(folder) / name).stat().st_mtime for name in files)])
    return newest


async def _build(web: Path) -> None:
    tools = await _node_folder(web)
    env = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    install = (tools / "npm", "ci", "--no-audit", "--no-fund")
    await run_tool(install, what="install what the web page needs", cwd=web, env=env)
    await run_tool((tools / "npm", "run", "build"), what="build the web page", cwd=web, env=env)


async def _node_folder(web: Path) -> Path:
    """The folder of Node on PATH when it is new enough and has npm, else of the wheel's."""
    found = shutil.which("node")
    if found and (Path(found).parent / "npm").exists():
        version = await run_tool((found, "--version"), what="ask Node for its version", cwd=web)
        if is_new_enough(version):
            return Path(found).parent
    return await private_tools("node")


def is_new_enough(version: str) -> bool:
    """Whether the answer of `node --version` is at least OLDEST_NODE."""
    match = re.match(r"v(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST_NODE
