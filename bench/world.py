"""What a measurement runs in: a stack of its own, the load generator and the floor, built on demand."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cpu import by_part
from bench.floor_server import Floor, build_floor
from scripts.stack.go import go_program
from tests.support.stack import Stack

ROOT = Path(__file__).resolve().parents[1]
LOAD = ROOT / "bench" / "load"
FLOOR_PORT = 90
"""Behind the base port, as are these of the stack; its parts take the next hundred."""
HTTP_PORT, GRPC_PORT, PARTS_PORT = 80, 50, 100
SPARE_DESCRIPTORS = 500
"""What a process holds beside its clients."""


class BenchError(Exception):
    """Something that keeps a measurement from being made; the text says what to do."""


@dataclass(frozen=True)
class Options:
    """What the command line said. `scale` is a share of the full size of everything that is counted."""

    repeats: int = 3
    seconds: float = 20.0
    warm: float = 20.0
    edges: int = 1
    scale: float = 1.0
    base_port: int = 19_000

    def scaled(self, full: int, least: int) -> int:
        """A share of a full size."""
        return max(least, round(full * self.scale))


@dataclass(frozen=True)
class World:
    """A running stack and the programs that load it."""

    stack: Stack
    options: Options
    load: Path
    floor: Floor
    folder: Path

    @property
    def address(self) -> str:
        """host:port of the edges."""
        return self.stack.http_url.removeprefix("http://")

    def cpu(self) -> dict[str, float]:
        """Seconds that each part of the stack has used so far."""
        state = self.stack.state()
        return by_part(state["pid"], {part["pid"]: part["part"] for part in state["parts"] if part["pid"]})

    def write(self, name: str, content: object) -> Path:
        """A file for the generator."""
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path


@contextmanager
def world(options: Options, env: Mapping[str, str]) -> Iterator[World]:
    """Everything, started with these settings in its environment; ended and removed after the block."""
    with tempfile.TemporaryDirectory(prefix="polychat-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL may run as another user, who must be able to pass through
        load = asyncio.run(build_load(folder / "load"))
        floor = build_floor(folder, options.base_port + FLOOR_PORT)
        data = folder / "data"
        base = options.base_port
        ports = ("--http-port", base + HTTP_PORT, "--grpc-base-port", base + GRPC_PORT)
        parts = ("--parts-base-port", base + PARTS_PORT, "--edges", options.edges)
        _stack(env, "up", "--detach", "--data", data, *ports, *parts)
        try:
            yield World(Stack(data), options, load, floor, folder)
        finally:
            _stack(env, "down", "--data", data)


async def build_load(program: Path) -> Path:
    """Builds the generator. Raises StackError without a Go that is new enough."""
    subprocess.run([await go_program(), "build", "-o", program, "."], cwd=LOAD, check=True)  # noqa: ASYNC221 — nothing else runs yet
    return program


def _stack(env: Mapping[str, str], *words: object) -> None:
    command = [sys.executable, "-m", "scripts.stack", *map(str, words)]
    if subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, check=False).returncode != 0:
        raise BenchError(f"the stack did not do `{words[0]}`")


def raise_descriptors() -> None:
    """Lets this process, and so all that it starts, open as many files as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def need_descriptors(clients: int) -> None:
    """Raises BenchError when a process cannot have so many connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = clients + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < need:
        raise BenchError(
            f"{clients} connections need {need} open files in one process and the hard limit is {hard}:"
            f" raise it (`ulimit -Hn {need}` as root, or LimitNOFILE), or measure less with --scale"
        )
