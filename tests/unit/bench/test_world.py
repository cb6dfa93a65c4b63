"""What a run asks of the machine."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from bench.floor_server import build_floor
from bench.world import BenchError, Options, need_descriptors


def test_too_few_descriptors_are_told_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is needed and what there is."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    need_descriptors(3_000)
    with pytest.raises(BenchError, match=r"10000 connections need 10500 open files .* limit is 4096"):
        need_descriptors(10_000)


def test_without_a_compiler_there_is_no_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest can be measured; the reason is kept for the report."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    floor = build_floor(tmp_path, 1)
    assert floor.program is None
    assert "no C compiler" in floor.missing


def test_a_scale_never_goes_below_the_least() -> None:
    """A try must still measure something."""
    assert [Options(scale=scale).scaled(10_000, 50) for scale in (1.0, 0.1, 0.0001)] == [10_000, 1_000, 50]
