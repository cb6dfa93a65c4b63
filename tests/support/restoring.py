"""The commands that take a stack away and bring it back, as a person types them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg

from chassis.restoring import IS_MARKED
from tests.support.stack import ROOT, START_SECONDS, Stack

RUN = "from scripts.cli.main import main; main()"


def polychat(*arguments: str) -> str:
    """What `polychat …` prints. Raises AssertionError when it does not end well."""
    done = run_polychat(*arguments)
    assert done.returncode == 0, f"polychat {arguments[0]} ended with {done.returncode}: {done.stderr}"
    return done.stdout


def run_polychat(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, whatever that is."""
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=ROOT,
        timeout=START_SECONDS,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def kill_restore_when_loaded(*arguments: str) -> None:
    """Begins `polychat restore …` and kills it when the rows are back and the new epoch is not."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "restore", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as restore:
        assert restore.stdout is not None
        said = ""
        while not said.endswith(" are back\n"):
            said = restore.stdout.readline()
            assert said, "the restore ended before anything was loaded"
        restore.kill()


def is_marked(stack: Stack) -> bool:
    """Whether the database says that a restore into it has not ended."""
    with psycopg.connect(stack.postgres_dsn) as connection:
        return connection.execute(IS_MARKED).fetchone() == (True,)


async def destroy_and_restore(stack: Stack, backup: Path) -> None:
    """Everything of a stack is gone; the backup is all there is. It runs again on the same ports.

    The first restore is killed in its middle: nothing starts on what it left, and the second one works.
    """
    parts, grpc, http = (stack.part(name)["port"] for name in ("postgres", "auth", "edge-1"))
    data = ("--data", str(stack.data))
    ports = ("--parts-base-port", str(parts))
    await asyncio.to_thread(polychat, "down", *data)
    shutil.rmtree(stack.data)
    restore = ("--from", str(backup), *data, *ports)
    others = ("--grpc-base-port", str(grpc - 1), "--http-port", str(http))
    await asyncio.to_thread(kill_restore_when_loaded, *restore)
    assert is_marked(stack)
    refused = await asyncio.to_thread(run_polychat, "up", "--detach", *data, *ports, *others)
    assert (refused.returncode, "run `polychat restore` again" in refused.stdout) == (1, True)
    said = await asyncio.to_thread(polychat, "restore", *restore)
    assert "beginning anew" in said
    await asyncio.to_thread(polychat, "up", "--detach", *data, *ports, *others)
    assert not is_marked(stack)
