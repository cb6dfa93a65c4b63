"""Runs short commands to their end, and serializes what several stacks of one user would do at once."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from scripts.stack.errors import StackError

SHOWN_LINES = 20
LOCK_POLL_SECONDS = 0.1


async def run_tool(
    argv: Sequence[str | Path],
    *,
    what: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    seconds: float = 600.0,
) -> str:
    """Run a command and return what it printed.

    Raises StackError, naming `what` was tried and the last lines, when it fails or takes longer than
    `seconds`. It does not outlive a cancelled caller.
    """
    process = await asyncio.create_subprocess_exec(
        *map(str, argv),
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        raise StackError(f"Could not {what}: it took longer than {seconds:.0f} s.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    if process.returncode != 0:
        raise StackError(f"Could not {what} (status {process.returncode}):\n{last_lines(text)}")
    return text


def last_lines(text: str) -> str:
    """The end of a log, indented to be told from the sentence above it."""
    return "\n".join("    " + line for line in text.rstrip().splitlines()[-SHOWN_LINES:])


@contextlib.asynccontextmanager
async def one_at_a_time(lock: Path) -> AsyncIterator[None]:
    """Hold the lock file `lock`: other processes that want it wait, and a dead holder holds nothing."""
    with lock.open("w") as file:
        # Asked again and again: a thread that waits for it could not be cancelled.
        while not _locked(file):  # noqa: ASYNC110 (the other holder is another process)
            await asyncio.sleep(LOCK_POLL_SECONDS)
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
