"""The product's processes as children of a test, which starts each when and how it likes, on real parts."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from chassis.migrate import migrate
from scripts.stack.credentials import Credentials
from scripts.stack.environment import Backing, edge_environment, service_environment
from scripts.stack.layout import SERVICES, Ports
from tests.support.eventually import eventually
from tests.support.stack import ATTACH, ROOT, Stack, running_stack

EDGE = "edge-1"
LOAD_SECONDS = 180.0
"""For a process to load; others may do the same on the same cores."""
READY_SECONDS = 15.0
"""For a process to be ready once it and everything that it needs lives."""
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class LooseStack(Stack):
    """Parts that a supervisor keeps, and processes that nobody does."""

    ports: Ports
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def http_url(self) -> str:
        """Where the edge answers."""
        return f"http://127.0.0.1:{self.ports.http}"

    def pid(self, part: str) -> int:
        """The process of a part, or of a child."""
        return self.children[part].pid if part in self.children else super().pid(part)

    def start(self, name: str, more: Mapping[str, str] | None = None) -> None:
        """Starts a service or the edge, with `more` in its environment; returns at once."""
        credentials = Credentials(self.data / "secrets")
        backing = Backing(self.redis_url, self.kafka_bootstrap, self.consul_addr)
        if name == EDGE:
            module, env = "edge", edge_environment(1, self.ports, backing, credentials)
        else:
            module, env = f"services.{name}", service_environment(name, self.ports, backing, credentials)
        with (self.data / "logs" / f"{name}.log").open("ab") as output:
            self.children[name] = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env=env | dict(more or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    async def lives(self, name: str, seconds: float = LOAD_SECONDS) -> None:
        """Until its loop turns; it may be far from ready."""
        await eventually(lambda: self._answers(name, "livez"), seconds=seconds, what=f"a sign of {name}")

    async def serves(self, name: str, seconds: float = READY_SECONDS) -> None:
        """Until it is ready. Raises TimeoutError."""
        await eventually(lambda: self._answers(name, "readyz"), seconds=seconds, what=f"that {name} is ready")

    def stop(self) -> None:
        """Ends all children: politely, and after a while by force."""
        for child in self.children.values():
            child.send_signal(signal.SIGTERM)
        for child in self.children.values():
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children.clear()

    async def _answers(self, name: str, path: str) -> bool:
        number = self.ports.edge_metrics(1) if name == EDGE else self.ports.service_metrics(name)
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"http://127.0.0.1:{number}/{path}")).is_success
            except httpx.TransportError:
                return False


@contextmanager
def loose_stack() -> Iterator[LooseStack]:
    """Parts of its own with migrated schemas, and no process of ours yet; all ends with the block."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv(ATTACH, raising=False)
        with running_stack("--parts-only") as parts:
            base = int(parts.kafka_bootstrap.rpartition(":")[2]) - 2
            # The block that `running_stack` found free is laid out so.
            stack = LooseStack(parts.data, Ports(base + 120, base + 110, base))
            for service in SERVICES:
                migrate(stack.secret(f"postgres-{service}.dsn"), f"services.{service}")
            try:
                yield stack
            finally:
                stack.stop()
