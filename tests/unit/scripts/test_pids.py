"""Pid files: only the very process that was noted is ever ended."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack import orphans, pids


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that works in `tmp_path` and would stay for a minute."""
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as process:
        yield process
        process.kill()


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that the system takes for one of PostgreSQL.

    `Popen` returns a moment before the kernel gives the new process its name.
    """
    program = tmp_path / "postgres"
    program.symlink_to(shutil.which("sleep") or "")
    with subprocess.Popen([program, "60"], cwd=tmp_path) as process:
        name = Path(f"/proc/{process.pid}/comm")
        deadline = time.monotonic() + 10
        while name.read_text() != "postgres\n":
            assert time.monotonic() < deadline, "the program did not start"
        yield process
        process.kill()


def test_a_noted_process_is_found_and_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """After its end it is forgotten."""
    pids.write(tmp_path, "chat", sleeper.pid)
    assert pids.alive(tmp_path, "chat") == sleeper.pid
    pids.end(tmp_path, "chat", 5.0)
    assert sleeper.wait() == -15
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    """SIGKILL follows when the patience is over."""
    command = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pids.write(tmp_path, "chat", process.pid)
        pids.end(tmp_path, "chat", 0.1)
        assert process.wait() == -9


def test_a_reused_pid_is_never_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """The noted process is gone and its number belongs to somebody else now."""
    pids.write(tmp_path, "chat", sleeper.pid)
    (tmp_path / "chat.birth").write_text("another boot 12345\n")
    assert pids.alive(tmp_path, "chat") is None
    assert pids.left_over(tmp_path) == []
    pids.end(tmp_path, "chat", 1.0)
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", ["", "not a number", "999999999"])
def test_a_broken_pid_file_means_nobody(tmp_path: Path, content: str) -> None:
    """Written half, by somebody else, or about a process that ended."""
    (tmp_path / "chat.pid").write_text(content)
    (tmp_path / "chat.birth").write_text("x")
    assert pids.alive(tmp_path, "chat") is None
    pids.forget_dead(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_left_overs_end_in_the_order_of_a_stop(tmp_path: Path) -> None:
    """Edges, services, then the parts; the supervisor is no left-over."""
    for name in ("postgres", "edge-2", "kafka", "up", "auth", "redis", "consul"):
        pids.write(tmp_path, name, os.getpid())
    assert pids.left_over(tmp_path) == ["edge-2", "auth", "consul", "kafka", "redis", "postgres"]


def test_an_orphan_in_the_folder_is_ended(
    tmp_path: Path, backend: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend in the middle of a query does not notice that its server died."""
    monkeypatch.setattr(orphans, "PATIENCE_SECONDS", 0.0)
    assert orphans.processes_in(tmp_path) == [backend.pid]
    orphans.end_all_in(tmp_path)
    assert backend.wait() == -9


def test_a_shell_in_the_folder_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Whoever looks around in there is no backend."""
    orphans.end_all_in(tmp_path)
    assert sleeper.poll() is None


def test_a_stale_postmaster_file_is_removed(tmp_path: Path) -> None:
    """PostgreSQL would believe its number, whoever has it now."""
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    orphans.remove_stale_pid_file(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


def test_a_live_postmaster_keeps_its_file(tmp_path: Path, backend: subprocess.Popen[bytes]) -> None:
    """A server works in the folder: the file is what protects the data."""
    (tmp_path / "postmaster.pid").write_text(f"{backend.pid}\n")
    orphans.remove_stale_pid_file(tmp_path)
    assert (tmp_path / "postmaster.pid").exists()
