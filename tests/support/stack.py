"""A running stack as tests see it: started for them on free ports, or one that runs already."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.support.eventually import eventually
from tests.support.free_port import free_block

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 420
RESTART_SECONDS = 60.0
"""For a part to drain (10 s) and the supervisor to start it again; Kafka's Java takes longest."""
BASES, PORTS = range(25_000, 32_000, 200), 180
"""Where a stack's block of ports may begin, and how many it takes."""
ATTACH = "POLYCHAT_TEST_DATA"
"""Environment variable: data folder of a stack to use instead of starting one."""


@dataclass(frozen=True)
class Stack:
    """The data folder of a stack and what can be learned from it."""

    data: Path

    def state(self) -> dict[str, Any]:
        """What the supervisor says now."""
        return dict(json.loads((self.data / "run" / "state.json").read_text()))

    def secret(self, name: str) -> str:
        """One of the files made at first start."""
        return (self.data / "secrets" / name).read_text().strip()

    def pid(self, part: str) -> int:
        """The process of a part."""
        return int((self.data / "run" / f"{part}.pid").read_text())

    def part(self, name: str) -> dict[str, Any]:
        """What the supervisor says of one part."""
        return next(dict(p) for p in self.state()["parts"] if p["part"] == name)

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to the process of a part."""
        os.kill(self.pid(part), number)

    async def ready(self, seconds: float = 60.0) -> None:
        """Waits until every part is ready. Raises TimeoutError with those that are not."""
        deadline = time.monotonic() + seconds
        while (waiting := self._waiting()) != []:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {seconds} s: {', '.join(waiting)}")
            await asyncio.sleep(0.1)

    async def back(self, part: str, pid: int, seconds: float = RESTART_SECONDS) -> None:
        """Waits until a part whose process was `pid` runs again as another. Raises TimeoutError."""

        async def is_back() -> bool:
            found = self.part(part)
            return found["state"] == "ready" and found["pid"] not in (None, pid)

        await eventually(is_back, seconds=seconds, what=f"the return of {part}")

    def _waiting(self) -> list[str]:
        state = self.state()
        parts = [p["part"] for p in state["parts"] if p["state"] not in ("ready", "external")]
        return parts or ([] if state["state"] == "ready" else ["up"])

    @property
    def postgres_dsn(self) -> str:
        """The administrator's login."""
        return self.secret("postgres-admin.dsn")

    @property
    def redis_url(self) -> str:
        """With its password."""
        return self.secret("redis.url")

    @property
    def kafka_bootstrap(self) -> str:
        """host:port."""
        return str(self.state()["urls"]["kafkaBootstrap"])

    @property
    def consul_addr(self) -> str:
        """host:port."""
        return str(self.state()["urls"]["consulAddr"])

    @property
    def http_url(self) -> str:
        """Where the edges answer HTTP."""
        return f"http://127.0.0.1:{self.part('edge-1')['port']}"

    @property
    def ws_url(self) -> str:
        """The WebSocket of the edges."""
        return self.http_url.replace("http", "ws", 1) + "/ws"

    def grpc_address(self, service: str) -> str:
        """host:port of auth, user, chat, message; `edge` for the edges' gRPC port."""
        if service == "edge":
            return f"127.0.0.1:{self.part('auth')['port'] - 1}"
        return f"127.0.0.1:{self.part(service)['port']}"


@contextmanager
def running_stack(*options: str, data: Path | None = None) -> Iterator[Stack]:
    """The stack named by POLYCHAT_TEST_DATA, or a new one that is stopped and removed at the end.

    Its logs are kept, and their place is printed, when the block ends with an exception. `data` is a
    folder of `data_folder`, where something was laid before the start.
    """
    if found := os.environ.get(ATTACH):
        yield Stack(Path(found))
        return
    data = data or data_folder()
    with _ports() as ports:
        try:
            _command("up", "--detach", "--data", str(data), *ports, *options)
            yield Stack(data)
        except BaseException:
            print(f"the logs of this stack are kept in {data / 'logs'}", file=sys.stderr)
            _command("down", "--data", str(data))
            raise
        _command("down", "--data", str(data))
    shutil.rmtree(data, ignore_errors=True)


def data_folder() -> Path:
    """An empty folder that PostgreSQL may enter as another user."""
    data = Path(tempfile.mkdtemp(prefix="polychat-test-"))
    data.chmod(0o711)
    return data


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the stack to its end, whatever that is."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.stack", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        timeout=START_SECONDS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _command(*arguments: str) -> None:
    done = command(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"scripts.stack {arguments[0]} ended with {done.returncode}:\n{done.stdout}")


@contextmanager
def _ports() -> Iterator[list[str]]:
    """A block of ports below the range of outgoing connections."""
    with free_block(BASES, PORTS) as base:
        yield [
            *("--parts-base-port", str(base)),
            *("--grpc-base-port", str(base + 110)),
            *("--http-port", str(base + 120)),
        ]


def make_database(admin_dsn: str, name: str, service: str, password: str) -> str:
    """A fresh database with one service's schema and role. Gives the role's DSN."""
    role, schema = f"polychat_{service}", service
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    scheme, _, rest = admin_dsn.partition("://")
    host = rest.partition("@")[2].partition("/")[0]
    names = {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(schema),
        "database": sql.Identifier(name),
    }
    with psycopg.connect(f"{admin_dsn.rpartition('/')[0]}/{name}", autocommit=True) as connection:
        for statement in (
            "CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public",
            "CREATE SCHEMA {schema} AUTHORIZATION {role}",
            "ALTER ROLE {role} IN DATABASE {database} SET search_path = {schema}, public",
        ):
            connection.execute(sql.SQL(statement).format(**names))
    return f"{scheme}://{role}:{password}@{host}/{name}"


def drop_database(admin_dsn: str, name: str) -> None:
    """Removes a database of `make_database`, and ends whoever is still connected."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
