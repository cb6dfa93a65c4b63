"""More instances of a stack's processes, also of another version: what a deploy has beside the old ones."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import httpx

from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack

FIRST_PORT = 130
PORTS = itertools.cycle(range(FIRST_PORT, 178))
"""Of the block that the stack has to itself, counted from its first; its own parts are below."""
AUTH_PORT = 111
START_SECONDS = 180.0
"""For a process to load and be ready; others may do the same on the same cores."""
END_SECONDS = 30.0
"""A drain takes 10 s at the most."""
SHOWN = 2000
"""Characters of the log of a process that does not start."""


class Sibling:
    """An instance called `name` of a part of the stack, run from the folder `code`."""

    def __init__(self, stack: Stack, part: str, name: str, code: Path = ROOT) -> None:
        self.name = name
        self._module = "edge" if part.startswith("edge-") else f"services.{part}"
        self._code = code
        self._first_port = int(stack.part("auth")["port"]) - AUTH_PORT
        self._metrics_port = self._port()
        self._environment = self._environment_of(stack, part)
        self._log = stack.data / "logs" / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it is ready. Raises TimeoutError, RuntimeError when it ended instead."""
        self._process = self._spawn()
        async with httpx.AsyncClient(trust_env=False) as client:
            await eventually(lambda: self._ready(client), seconds=START_SECONDS, what=f"{self.name} ready")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self._module],
                cwd=self._code,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def end(self) -> None:
        """Asks it to end and waits. Raises AssertionError when it does not end cleanly, TimeoutError."""
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)

        async def over() -> bool:
            return process.poll() is not None

        await eventually(over, seconds=END_SECONDS, what=f"the end of {self.name}")
        self._process = None
        assert process.returncode == 0, f"{self.name} ended with {process.returncode}, see {self._log}"

    def kill(self) -> None:
        """Ends it at once, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def _ready(self, client: httpx.AsyncClient) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            end = self._log.read_text()[-SHOWN:]
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}: … {end}")
        try:
            answer = await client.get(f"http://127.0.0.1:{self._metrics_port}/readyz")
        except httpx.TransportError:
            return False
        return answer.status_code == HTTPStatus.OK

    def _port(self) -> int:
        return self._first_port + next(PORTS)

    def _environment_of(self, stack: Stack, part: str) -> Mapping[str, str]:
        """What the part itself was started with, and what must differ; edges share their ports."""
        entries = Path(f"/proc/{stack.pid(part)}/environ").read_bytes().decode().split("\0")
        found = dict(entry.split("=", 1) for entry in entries if "=" in entry)
        found["POLYCHAT_INSTANCE"] = self.name
        found["POLYCHAT_METRICS_PORT"] = str(self._metrics_port)
        if self._module == "edge":
            found["POLYCHAT_WEB_ROOT"] = str(ROOT / "web" / "dist")
        else:
            found["POLYCHAT_GRPC_PORT"] = str(self._port())
        # The installed project leads to ROOT; what stands here comes first.
        found["PYTHONPATH"] = os.pathsep.join(str(self._code / folder) for folder in (".", "gen"))
        return found


@asynccontextmanager
async def siblings(stack: Stack, names: Mapping[str, str], code: Path = ROOT) -> AsyncIterator[list[Sibling]]:
    """Started instances: `names` gives each new name the part it is another instance of."""
    made = [Sibling(stack, part, name, code) for name, part in names.items()]
    try:
        await asyncio.gather(*(one.start() for one in made))
        yield made
    finally:
        for one in made:
            one.kill()
