"""Lint and compatibility of `proto/`, by buf and without a network."""

import subprocess
import sys
from pathlib import Path

from scripts.proto.tree import ROOT

BASE_BRANCH = "main"


def lint() -> str:
    """Return buf's complaints about names, comments and format; empty when there are none."""
    return _buf("lint") or _buf("format", "--diff", "--exit-code", "--path", "proto/polychat")


def base_has_protos(branch: str = BASE_BRANCH) -> bool:
    """Say whether the branch exists and has protos to compare with."""
    command = ["git", "-C", str(ROOT), "ls-tree", branch, "buf.yaml", "proto/"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return len(listed.stdout.splitlines()) == 2


def breaking(branch: str = BASE_BRANCH) -> str:
    """Return what would break clients of the branch's contract, on the wire or in JSON; empty when nothing would."""
    return _buf("breaking", "--against", f".git#branch={branch}")


def _buf(*arguments: str) -> str:
    buf = Path(sys.executable).with_name("buf")
    done = subprocess.run([buf, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()
