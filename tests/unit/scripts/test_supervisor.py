"""The supervisor on real, tiny processes: order, restarts, failures, the end."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.stack import keeper, pids
from scripts.stack.board import Board, PartStatus
from scripts.stack.errors import NotReadyError, StackError
from scripts.stack.keeper import delay_before
from scripts.stack.layout import Layout
from scripts.stack.part import Launch, Part
from scripts.stack.supervisor import Supervisor, stop_waves

SECONDS = 20.0


class Tiny(Part):
    """A shell that sleeps, or whatever else it is told to run."""

    def __init__(self, name: str, *needs: str, script: str = "exec sleep 60") -> None:
        super().__init__(name, None, frozenset(needs))
        self.script = script
        self.sick = False
        self.provisioned = 0

    def launch(self) -> Launch | None:
        return Launch(("/bin/sh", "-c", self.script), Path("/"), {"PATH": os.defpath})

    async def probe(self) -> None:
        if self.sick:
            raise NotReadyError("it is sick")

    async def provision(self) -> None:
        self.provisioned += 1


class Elsewhere(Tiny):
    """A part that somebody else runs."""

    def launch(self) -> Launch | None:
        return None


class Watcher:
    """A view that remembers everything and can be waited for."""

    def __init__(self) -> None:
        self.history: list[PartStatus] = []
        self.said: list[str] = []
        self._news = asyncio.Event()

    def changed(self, parts: Iterable[PartStatus], row: PartStatus) -> None:
        del parts
        self.history.append(replace(row))
        self._news.set()

    def say(self, line: str) -> None:
        self.said.append(line)

    async def until(self, wanted: Callable[[PartStatus], object]) -> PartStatus:
        async with asyncio.timeout(SECONDS):
            while True:
                for row in self.history:
                    if wanted(row):
                        return row
                self._news.clear()
                await self._news.wait()

    def order(self, *states: str) -> list[str]:
        return [row.part for row in self.history if row.state in states]


class Running:
    """A supervisor in a task of its own."""

    def __init__(self, layout: Layout, parts: list[Part]) -> None:
        self.view = Watcher()
        self.ready = asyncio.Event()
        board = Board(layout.state_file, layout.log("up"), self.view, {"grpc": "here"})
        self.task = asyncio.create_task(Supervisor(parts, layout, board, self.ready.set).run())

    async def stop(self) -> None:
        if not self.task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            await self.task


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data folder."""
    made = Layout(tmp_path)
    made.make()
    return made


@asynccontextmanager
async def running(layout: Layout, *parts: Part) -> AsyncIterator[Running]:
    """A supervisor whose parts are all ready; stopped by SIGTERM at the end."""
    stack = Running(layout, list(parts))
    try:
        async with asyncio.timeout(SECONDS):
            await stack.ready.wait()
        yield stack
    finally:
        await stack.stop()


def state_of(layout: Layout) -> tuple[str, dict[str, str]]:
    document = json.loads(layout.state_file.read_text())
    return document["state"], {row["part"]: row["state"] for row in document["parts"]}


async def test_parts_start_after_what_they_need_and_stop_before_it(layout: Layout) -> None:
    """The state file says ready only when all are, and stopped at the end."""
    async with running(layout, Tiny("edge", "chat"), Tiny("chat", "db"), Tiny("db")) as stack:
        assert stack.view.order("ready") == ["db", "chat", "edge"]
        assert state_of(layout) == ("ready", {"edge": "ready", "chat": "ready", "db": "ready"})
    assert stack.view.order("stopped") == ["edge", "chat", "db"]
    assert state_of(layout) == ("stopped", {"edge": "stopped", "chat": "stopped", "db": "stopped"})
    assert list(layout.run.glob("*.pid")) == []


async def test_a_killed_part_comes_back_alone(layout: Layout) -> None:
    """Its restart is counted and told; it is not provisioned again; the others keep their process."""
    db, chat = Tiny("db"), Tiny("chat", "db")
    async with running(layout, db, chat) as stack:
        others = pids.alive(layout.run, "chat")
        first = pids.alive(layout.run, "db")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        back = await stack.view.until(lambda r: r.part == "db" and r.state == "ready" and r.restarts == 1)
        assert back.pid not in (None, first)
        assert pids.alive(layout.run, "db") == back.pid
        assert pids.alive(layout.run, "chat") == others
        assert any("db was ended by SIGKILL" in line for line in stack.view.said)
        assert "db was ended by SIGKILL" in layout.log("up").read_text()
    assert db.provisioned == 1


async def test_a_part_that_dies_at_its_restart_is_tried_again(layout: Layout, tmp_path: Path) -> None:
    """It does not count as failed: what it lacks may come back."""
    flag = tmp_path / "broken"
    part = Tiny("db", script=f"test -e {flag} && exit 3; exec sleep 60")
    async with running(layout, part) as stack:
        flag.touch()
        pid = pids.alive(layout.run, "db")
        assert pid is not None
        part.sick = True
        os.kill(pid, signal.SIGKILL)
        await stack.view.until(lambda r: r.state == "restarting" and r.restarts == 3)
        assert any("db ended with status 3" in line for line in stack.view.said)
        part.sick = False
        flag.unlink()
        await stack.view.until(lambda r: r.state == "ready" and r.restarts >= 3)


async def test_a_disk_that_is_full_at_a_restart_ends_nothing_else(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither settings nor state can be written: the others run on, and the part comes back in the end."""
    part, other = Tiny("part"), Tiny("other")
    refused = asyncio.Event()
    full = True

    async def prepare() -> None:
        if full:
            refused.set()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with running(layout, part, other) as stack:
        before = pids.alive(layout.run, "other")
        monkeypatch.setattr(part, "prepare", prepare)
        with monkeypatch.context() as disk:
            disk.setattr(Path, "write_text", _no_space)
            pid = pids.alive(layout.run, "part")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await asyncio.wait_for(refused.wait(), SECONDS)
        full = False
        await stack.view.until(lambda row: row.part == "part" and row.restarts > 1 and row.state == "ready")
        assert pids.alive(layout.run, "other") == before
        assert state_of(layout)[1] == {"part": "ready", "other": "ready"}


def _no_space(*_arguments: object, **_options: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_restart_that_does_not_get_ready_is_ended_and_tried_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs and answers nothing: no process that hangs is waited for without an end."""
    part = Tiny("db")
    async with running(layout, part) as stack:
        pid = pids.alive(layout.run, "db")
        assert pid is not None
        monkeypatch.setattr(Tiny, "start_seconds", 0.2)
        part.sick = True
        os.kill(pid, signal.SIGKILL)
        hung = await stack.view.until(lambda r: r.state == "starting" and r.restarts == 1 and r.pid)
        await stack.view.until(lambda r: r.state == "restarting" and r.restarts >= 2)
        assert pids.alive(layout.run, "db") != hung.pid
        assert any("db was not ready in 0.2 s: it is sick" in line for line in stack.view.said)
        part.sick = False
        back = await stack.view.until(lambda r: r.state == "ready" and r.restarts >= 2)
        assert back.pid not in (pid, hung.pid)


async def test_a_part_that_never_starts_fails_the_stack(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence has the end of its log; what already ran is stopped in order."""
    monkeypatch.setattr(keeper, "FIRST_DELAY_SECONDS", 0.0)
    bad = Tiny("chat", "db", script="echo the setting is missing; exit 4")
    bad.sick = True
    stack = Running(layout, [Tiny("db"), bad, Tiny("edge", "chat")])
    with pytest.raises(
        StackError, match=r"(?s)chat does not start: it ended with status 4.*setting is missing"
    ):
        async with asyncio.timeout(SECONDS):
            await stack.task
    assert not stack.ready.is_set()
    assert state_of(layout) == ("failed", {"db": "stopped", "chat": "failed", "edge": "waiting"})


async def test_a_part_that_is_not_ready_in_time_fails_with_the_reason(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs, but its probe never succeeds."""
    monkeypatch.setattr(Tiny, "start_seconds", 0.3)
    sick = Tiny("db")
    sick.sick = True
    stack = Running(layout, [sick])
    with pytest.raises(StackError, match="db was not ready in time: it is sick"):
        async with asyncio.timeout(SECONDS):
            await stack.task
    assert pids.alive(layout.run, "db") is None


async def test_a_part_that_ignores_the_stop_is_killed(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything it started: the bound of a stop holds for all of them."""
    monkeypatch.setattr(Tiny, "stop_seconds", 0.2)
    log = layout.log("db")
    stubborn = Tiny("db", script="trap '' TERM; sleep 60 & echo $!; wait; sleep 60")

    async def trapped() -> None:
        if not (log.exists() and log.read_text()):
            raise NotReadyError("it ignores nothing yet")

    stubborn.probe = trapped  # type: ignore[method-assign]
    async with running(layout, stubborn) as stack:
        child = int(log.read_text())
    assert any("was killed" in line for line in stack.view.said)
    assert pids.birth(child) is None


async def test_an_external_part_is_waited_for_and_provisioned(layout: Layout) -> None:
    """It has no process here; those that need it start after it."""
    outside = Elsewhere("db")
    async with running(layout, outside, Tiny("chat", "db")) as stack:
        assert stack.view.order("external", "ready") == ["db", "chat"]
        assert outside.provisioned == 1
    assert state_of(layout)[1]["chat"] == "stopped"


async def test_a_stop_during_the_start_stops(layout: Layout) -> None:
    """Ctrl-C while a part is not ready yet is no error."""
    slow = Tiny("db")
    slow.sick = True
    stack = Running(layout, [slow, Tiny("chat", "db")])
    await stack.view.until(lambda r: r.part == "db" and r.state == "starting")
    await stack.stop()
    assert state_of(layout)[0] == "stopped"
    assert not stack.ready.is_set()


def test_the_delay_grows_to_ten_seconds() -> None:
    """0.2 s, doubled at each death, however many there were."""
    assert [delay_before(n) for n in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    assert delay_before(10_000) == 10.0


def test_a_circle_of_needs_is_refused() -> None:
    """Nothing in it could ever start."""
    with pytest.raises(ValueError, match="circle"):
        stop_waves([Tiny("a", "b"), Tiny("b", "a"), Tiny("c", "a")])
