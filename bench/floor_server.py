"""The C server of bench/floor: built with the machine's compiler, started anew for every measurement."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cpu import by_part

SOURCE = Path(__file__).resolve().parent / "floor" / "floor.c"
READY_SECONDS = 10.0


@dataclass(frozen=True)
class Floor:
    """Where it is, or why there is none."""

    port: int
    program: Path | None
    missing: str = ""


@dataclass(frozen=True)
class RunningFloor:
    """One that listens."""

    address: str
    pid: int

    def cpu(self) -> dict[str, float]:
        """Seconds it has used so far."""
        return by_part(self.pid, {self.pid: "floor"})


def build_floor(folder: Path, port: int) -> Floor:
    """Compiles it into a folder. Without a C compiler there is no floor, and the figures say so."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        return Floor(port, None, "there is no C compiler (cc, gcc or clang on PATH, or CC)")
    program = folder / "floor"
    command = [compiler, "-O2", "-Wall", "-o", str(program), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return Floor(port, None, f"{compiler} does not build it: {done.stderr.strip()[-500:]}")
    return Floor(port, program)


@asynccontextmanager
async def running_floor(floor: Floor) -> AsyncIterator[RunningFloor]:
    """A fresh one while the block lasts."""
    assert floor.program is not None
    process = await asyncio.create_subprocess_exec(
        floor.program, str(floor.port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            line = await process.stdout.readline()
        if line.strip() != b"ready":
            raise RuntimeError(f"the floor did not start on port {floor.port}")
        yield RunningFloor(f"127.0.0.1:{floor.port}", process.pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
