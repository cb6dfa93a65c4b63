"""Named crash windows: what may be written, and what an armed one does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from chassis import failpoints
from chassis.errors import BackendUnavailable
from chassis.failpoints import POINTS, Failpoint, FailpointSettings, parse

AFTER = "message.after_commit"


@pytest.fixture(autouse=True)
def nothing_armed() -> Iterator[None]:
    """Points are the process's, and this process runs other tests too."""
    failpoints.disarm()
    yield
    failpoints.disarm()


def test_points_are_read_with_action_and_hit() -> None:
    """The first hit unless another is named."""
    assert parse(" message.after_commit=kill@3, chat.before_produce=stall(60.5),,edge.in_drain=error ") == {
        "message.after_commit": Failpoint("kill", 0.0, 3),
        "chat.before_produce": Failpoint("stall", 60.5, 1),
        "edge.in_drain": Failpoint("error", 0.0, 1),
    }
    assert parse("") == {}


@pytest.mark.parametrize(
    "text",
    [
        "message.after_commit",
        "message.after_commit=explode",
        "message.after_commit=kill@0",
        "message.after_commit=stall",
        "message.after_commit=stall(99999)",
        "nowhere=kill",
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str) -> None:
    """With the names there are, unless only the number is wrong."""
    with pytest.raises(ValueError, match=r"the points are auth\.reserved|stalls for more than"):
        parse(text)


def test_a_bad_value_is_a_bad_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the process says so and stops before it does anything."""
    monkeypatch.setenv("POLYCHAT_FAILPOINTS", "nowhere=kill")
    with pytest.raises(ValidationError, match="there is no point 'nowhere'"):
        FailpointSettings()


async def test_a_point_that_is_not_armed_does_nothing() -> None:
    """Nor one of another process."""
    failpoints.arm("chat", f"{AFTER}=error")
    for name in POINTS:
        await failpoints.reach(name, AssertionError)


async def test_an_error_is_raised_at_its_hit_and_once() -> None:
    """The one that the place gives; a failure of a backing part when it gives none."""
    failpoints.arm("message", f"{AFTER}=error@2,message.before_commit=error")
    await failpoints.reach(AFTER, OSError)
    with pytest.raises(OSError, match=r"^$"):
        await failpoints.reach(AFTER, OSError)
    await failpoints.reach(AFTER, OSError)
    with pytest.raises(BackendUnavailable):
        await failpoints.reach("message.before_commit")


async def test_a_stall_holds_up_only_who_came_there() -> None:
    """The rest of the process goes on: heartbeats, say."""
    failpoints.arm("message", f"{AFTER}=stall(3600)")
    stalled = asyncio.create_task(failpoints.reach(AFTER))
    await asyncio.sleep(0)
    await failpoints.reach(AFTER)
    assert not stalled.done()
    stalled.cancel()


def test_a_kill_leaves_no_time_for_anything() -> None:
    """SIGKILL, so that no handler, no finally and no buffer helps."""
    code = (
        "import asyncio\nfrom chassis import failpoints\n"
        f"failpoints.arm('message', '{AFTER}=kill')\n"
        f"try:\n    asyncio.run(failpoints.reach('{AFTER}'))\nfinally:\n    print('left')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "left" in done.stdout) == (-signal.SIGKILL, False)


async def test_a_file_counts_for_one_life(tmp_path: Path) -> None:
    """It is gone once it was read, so the process that is started after a kill lives."""
    settings = FailpointSettings(failpoints_dir=tmp_path)
    (tmp_path / "message-1").write_text(f"{AFTER}=error,chat.in_drain=kill")
    failpoints.start("message", "message-1", settings)
    assert not _waiting(tmp_path)
    with pytest.raises(BackendUnavailable):
        await failpoints.reach(AFTER)
    failpoints.start("message", "message-1", settings)
    await failpoints.reach(AFTER)


async def test_a_signal_makes_a_running_process_look_again(tmp_path: Path) -> None:
    """A file that cannot be read arms nothing and harms nothing."""
    loop = asyncio.get_running_loop()
    failpoints.listen("message", "message-1", FailpointSettings(failpoints_dir=tmp_path))
    try:
        for text in ("nonsense", f"{AFTER}=error"):
            (tmp_path / "message-1").write_text(text)
            os.kill(os.getpid(), signal.SIGUSR2)
            while _waiting(tmp_path):  # noqa: ASYNC110 — the handler runs in a turn of this loop
                await asyncio.sleep(0)
        with pytest.raises(BackendUnavailable):
            await failpoints.reach(AFTER)
    finally:
        loop.remove_signal_handler(signal.SIGUSR2)


def _waiting(folder: Path) -> list[Path]:
    return list(folder.iterdir())
