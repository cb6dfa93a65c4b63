"""What the load generator computes by itself, in its own language."""

from __future__ import annotations

import subprocess

from bench.world import LOAD
from scripts.stack.go import go_program


async def test_the_generator_measures_right() -> None:
    """`go test` in its folder."""
    done = subprocess.run(  # noqa: ASYNC221 — nothing else runs
        [await go_program(), "test", "."], cwd=LOAD, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
