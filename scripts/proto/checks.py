"""Lint and compatibility of `proto/`, by buf and without a network."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.proto.tree import ROOT

BASES = ("main", "origin/main")
"""Where the contract that clients have is: the branch itself, or what a clone of another one has of it."""


def lint(root: Path = ROOT) -> str:
    """Return buf's complaints about names, comments and format; empty when there are none."""
    unformatted = _buf("format", "--diff", "--exit-code", "--path", "proto/polychat", root=root)
    return "\n".join(filter(None, [_buf("lint", root=root), unformatted]))


def find_base(root: Path = ROOT) -> str | None:
    """Return the branch to compare with; None when there is none, or it has no protos yet."""
    for branch in BASES:
        listed = _git(root, "ls-tree", branch, "buf.yaml", "proto")
        if len(listed.stdout.splitlines()) == 2:
            return branch
    return None


def breaking(base: str, root: Path = ROOT) -> str:
    """Return what in `root` breaks clients of the base, on the wire or in JSON; empty when nothing does."""
    with TemporaryDirectory(prefix="polychat-proto-") as scratch:
        # An archive, and not buf's own reading of .git: in a second work tree that is a file.
        archive = Path(scratch) / "base.tar"
        _git(root, "archive", f"--output={archive}", base, "buf.yaml", "proto").check_returncode()
        return _buf("breaking", "--against", str(archive), root=root)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)


def _buf(*arguments: str, root: Path = ROOT) -> str:
    buf = Path(sys.executable).with_name("buf")
    done = subprocess.run([buf, *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr).strip() or f"buf {arguments[0]} ended with {done.returncode}"
