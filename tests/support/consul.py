"""A Consul agent of a test's own, for tests that stop, freeze, kill or wipe it.

POLYCHAT_TEST_CONSUL_ADDR (host:port) names a running one for the tests that only use it.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from scripts.stack.consul import Consul
from scripts.stack.errors import NotReadyError
from scripts.stack.layout import Layout, Ports
from tests.support.eventually import eventually

PORT_BASES = range(23_000, 23_400, 10)
PORTS_OF_CONSUL = (4, 5, 6)


class ConsulAgent:
    """One server agent in a folder; its data survives `kill`, not `wipe`."""

    def __init__(self, folder: Path, part: Consul) -> None:
        self.address = part.address
        self._folder = folder
        self._part = part
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Starts it and waits until it has a leader."""
        await self._part.fetch()
        await self._part.prepare()
        self._spawn()
        await eventually(self._answers, seconds=30, what="Consul's first answer")

    def _spawn(self) -> None:
        launch = self._part.launch()
        assert launch is not None
        with (self._folder / "consul.log").open("ab") as output:
            self._process = subprocess.Popen(
                launch.argv, cwd=launch.cwd, env=dict(launch.env), stdout=output, stderr=output
            )

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once; one that is not running stays so."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Forgets everything; only while it is not running."""
        shutil.rmtree(self._folder / "consul" / "data")

    async def get(self, path: str) -> Any:
        """What `GET /v1/{path}` answers, decoded; None for 404."""
        async with aiohttp.request("GET", self._url(path)) as answer:
            return None if answer.status == HTTPStatus.NOT_FOUND else await answer.json()

    async def put(self, path: str, body: str = "") -> None:
        """`PUT /v1/{path}`."""
        async with aiohttp.request("PUT", self._url(path), data=body) as answer:
            answer.raise_for_status()

    async def delete(self, path: str) -> None:
        """`DELETE /v1/{path}`."""
        async with aiohttp.request("DELETE", self._url(path)) as answer:
            answer.raise_for_status()

    async def passing(self, service: str) -> set[str]:
        """The names of the instances whose checks pass."""
        found = await self.get(f"health/service/{service}?passing=1")
        return {item["Service"]["ID"] for item in found}

    def _url(self, path: str) -> str:
        return f"http://{self.address}/v1/{path}"

    async def _answers(self) -> bool:
        try:
            await self._part.probe()
        except NotReadyError:
            return False
        return True


@asynccontextmanager
async def own_consul(folder: Path) -> AsyncIterator[ConsulAgent]:
    """An agent that is not started yet, on free ports; killed at the end."""
    layout = Layout(folder)
    layout.make()
    agent = ConsulAgent(folder, Consul(layout, Ports(parts_base=_free_base()), None))
    try:
        yield agent
    finally:
        agent.kill()


def _free_base() -> int:
    for base in random.sample(PORT_BASES, len(PORT_BASES)):
        if all(_is_free(base + offset) for offset in PORTS_OF_CONSUL):
            return base
    raise RuntimeError(f"no free ports for Consul in {PORT_BASES}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
