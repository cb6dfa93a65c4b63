"""The tests that the page has of its own, in its own language."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.stack.layout import ROOT


def test_types_and_unit_tests_pass(dist: Path) -> None:
    """`npm run check`: the compiler and vitest; `dist` has installed what they need."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on PATH")
    command = [npm, "run", "check"]
    done = subprocess.run(command, cwd=ROOT / "web", capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
