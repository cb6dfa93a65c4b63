"""How a process starts and ends, seen from outside: exit codes, output, health port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.free_port import free_port
from tests.support.secret_file import any_secret_file
from tests.support.small_process import ACT
from tests.support.tracked import ROOT

Small = subprocess.Popen[str]
Start = Callable[..., Small]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start(port: int) -> Iterator[Start]:
    """Starts the small process; a setting of None is left out."""
    with ExitStack() as stack:

        def start(act: str = "", **settings: str | None) -> Small:
            values: dict[str, str | None] = {
                "INSTANCE": "small-1",
                "GRPC_PORT": "0",
                "METRICS_PORT": str(port),
                "CONSUL_ADDR": "http://127.0.0.1:1",
                "INTERNAL_CREDENTIAL_FILE": str(any_secret_file()),
                "SMALL_SECRET": "canary",
                **settings,
            }
            ours = {name: value for name, value in os.environ.items() if not name.startswith("POLYCHAT_")}
            environment = {f"POLYCHAT_{name}": value for name, value in values.items() if value is not None}
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.small_process"],
                cwd=ROOT,
                env={**ours, **environment, ACT: act},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(_end, process)
            return process

        yield start


def _end(process: Small) -> None:
    process.kill()
    process.communicate()


def lines_until(process: Small, event: str) -> list[dict[str, Any]]:
    """The lines of its log, up to the one with this event."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        found.append(json.loads(line))
        if found[-1]["event"] == event:
            return found
    raise AssertionError(f"{event} was never logged: {found}")


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_drains(start: Start, port: int, number: signal.Signals) -> None:
    """Ready, told, the app's block is left, exit code 0; every line of it is a log line of its own."""
    process = start()
    lines_until(process, "process_started")
    assert ask(port, "/readyz") == (200, '{"ready": true, "problems": {}, "degraded": {}}')
    process.send_signal(number)
    out, err = process.communicate(timeout=15)
    events = [json.loads(line)["event"] for line in out.splitlines() if line != "left"]
    assert events == ["process_draining", "process_stopped"]
    assert out.splitlines()[1] == "left"
    assert (process.returncode, err) == (0, "")


def test_not_ready_is_told_with_the_reason(start: Start, port: int) -> None:
    """While it lives."""
    lines_until(start("unready"), "process_started")
    status, body = ask(port, "/readyz")
    assert (status, json.loads(body)["problems"]) == (503, {"small": "waits for nothing"})
    assert ask(port, "/livez") == (200, "ok\n")


def test_told_to_stop_while_it_starts(start: Start, port: int) -> None:
    """What it waits for may never come: it goes at once, and that is no failure."""
    process = start("hang at start")
    assert process.stdout is not None
    assert process.stdout.readline() == "hanging\n"
    status, body = ask(port, "/readyz")
    assert (status, json.loads(body)["problems"]) == (503, {"app": "starting"})
    process.terminate()
    out, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["process_stopped"]


@pytest.mark.parametrize(
    ("act", "error"),
    [("fail at start", "OSError"), ("fail in a task", "the task cannot go on")],
)
def test_a_failure_ends_it(start: Start, act: str, error: str) -> None:
    """Exit code 1 and one line that says why, without secrets: whoever started it starts it anew."""
    process = start(act)
    out, _ = process.communicate(timeout=15)
    assert process.returncode == 1
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["level"], last["service"], last["instance"]) == (
        "process_failed",
        "error",
        "small",
        "small-1",
    )
    assert error in last["exception"]
    assert "canary" not in out


def test_a_failure_while_leaving_is_one(start: Start) -> None:
    """An end that lost something must not look like a good one."""
    process = start("fail while leaving")
    lines_until(process, "process_started")
    process.terminate()
    process.communicate(timeout=15)
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INSTANCE", None),
        ("SMALL_SECRET", None),
        ("GRPC_PORT", "many"),
        ("INTERNAL_CREDENTIAL_FILE", os.devnull),
        ("INTERNAL_CREDENTIAL_FILE", "/nowhere/credential"),
    ],
)
def test_bad_settings_are_told_by_name(start: Start, name: str, value: str | None) -> None:
    """Exit code 2 and a sentence with the variable, and no other word."""
    process = start(**{name: value})
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (2, "")
    first, *wrong = err.splitlines()
    assert first == "small cannot start, its settings are wrong:"
    assert [line.split(":")[0].strip() for line in wrong] == [f"POLYCHAT_{name}"]
    assert "canary" not in err


def test_a_taken_health_port_ends_it(start: Start) -> None:
    """Else its health would be told by somebody else."""
    lines_until(start(), "process_started")
    second = start()
    second.communicate(timeout=15)
    assert second.returncode == 1


def test_a_failpoint_that_does_not_exist_stops_the_start(start: Start) -> None:
    """With a sentence that names the variable, the word and those that there are."""
    process = start(FAILPOINTS="nowhere=kill")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "POLYCHAT_FAILPOINTS" in errors
    assert "no point 'nowhere'; the points are auth.reserved" in errors


def test_a_bad_file_of_failpoints_stops_the_start(start: Start, tmp_path: Path) -> None:
    """It is gone then, so the next start is a plain one."""
    (tmp_path / "small-1").write_text("nowhere=kill")
    process = start(FAILPOINTS_DIR=str(tmp_path))
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "its file of failpoints is wrong: there is no point 'nowhere'" in errors
    assert not (tmp_path / "small-1").exists()
