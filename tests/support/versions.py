"""The code of an earlier version, to run beside this one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.stack import ROOT

BASELINE = "POLYCHAT_TEST_BASELINE"
"""Environment variable: the commit to run beside this one."""
MAIN = "origin/main"


def earlier_version(folder: Path) -> str:
    """Unpacks the last main into the folder and gives its commit.

    It is the commit that POLYCHAT_TEST_BASELINE names, else where this branch left main, else the commit
    before this one. Skips the test when there is none to be had.
    """
    commit = os.environ.get(BASELINE) or _left_main() or _git("rev-parse", "--verify", "--quiet", "HEAD~1")
    if not commit:
        pytest.skip(f"needs an earlier commit: this is no clone, or a shallow one; {BASELINE} names one")
    archive = folder / "code.tar"
    if (
        not _git("archive", "--output", str(archive), commit, "--", *_folders(commit))
        and not archive.exists()
    ):
        pytest.skip(f"needs the commit {commit}, which this clone does not have")
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    archive.unlink()
    return commit


def _left_main() -> str | None:
    base = _git("merge-base", "HEAD", MAIN)
    return None if base == _git("rev-parse", "HEAD") else base


def _folders(commit: str) -> list[str]:
    """What its processes are made of."""
    wanted = ("chassis", "discovery", "edge", "gen", "services")
    listed = (_git("ls-tree", "--name-only", commit) or "").split()
    return [name for name in wanted if name in listed]


def _git(*words: str) -> str | None:
    """What the command prints; None when it fails."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
