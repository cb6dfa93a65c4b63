"""A process of `chassis.run` whose app does what an environment variable says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from chassis import logs
from chassis.config import ProcessSettings
from chassis.run import Process, run

ACT = "ACT_OF_THIS_TEST"
log = logs.get("services.small")


class SmallSettings(ProcessSettings):
    """One secret of its own."""

    small_secret: SecretStr


@asynccontextmanager
async def app(_settings: SmallSettings, process: Process[SmallSettings]) -> AsyncIterator[None]:
    """Runs until it is told to stop, or fails at its start, in a task, or while it leaves."""
    act = os.environ.get(ACT, "")
    if act == "fail at start":
        raise OSError("cannot open redis://:canary@127.0.0.1:1")
    if act == "hang at start":
        print("hanging", flush=True)
        await asyncio.Event().wait()
    process.readiness.add("small", lambda: "waits for nothing" if act == "unready" else None)
    async with asyncio.TaskGroup() as tasks:
        if act == "fail in a task":
            tasks.create_task(_fail())
        yield
    print("left", flush=True)
    if act == "fail while leaving":
        raise OSError("cannot close")


async def _fail() -> None:
    raise ValueError("the task cannot go on")


if __name__ == "__main__":
    run("small", SmallSettings, app)
