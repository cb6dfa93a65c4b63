"""Consul built from its source with Go, where there is no package of it."""

from __future__ import annotations

from pathlib import Path

from scripts.stack.errors import StackError


async def build_consul(work: Path) -> Path:
    raise StackError("no Go build yet")
