"""The files of the repository, as git knows them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[str]:
    """Paths from the root of the tracked files that are there, those of `patterns` only when given any."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for path in done.stdout.split("\0")[:-1] if (ROOT / path).is_file()]


def read(path: str) -> str:
    """A tracked text; empty for pictures and other bytes."""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return ""
