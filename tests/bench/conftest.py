"""The programs of the bench, built once for the run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.floor_server import Floor, build_floor
from bench.world import build_load
from tests.support.free_port import free_port


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generator."""
    return asyncio.run(build_load(tmp_path_factory.mktemp("bench") / "load"))


@pytest.fixture(scope="session")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Floor:
    """The floor; without a C compiler there is nothing to compare with."""
    made = build_floor(tmp_path_factory.mktemp("bench"), free_port())
    if made.program is None:
        pytest.skip(made.missing)
    return made
