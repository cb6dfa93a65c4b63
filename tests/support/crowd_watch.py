"""What a stack holds at a moment: memory, descriptors, tasks, connections, keys, channels, entries."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
from redis.asyncio import Redis

from tests.support.stack import Stack

OURS = ("auth", "user", "chat", "message", "edge")
EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Holdings:
    """By process: resident bytes, open descriptors, asyncio tasks. Then what the parts hold for all."""

    resident: Mapping[str, int]
    descriptors: Mapping[str, int]
    tasks: Mapping[str, int]
    redis_keys: int
    redis_channels: int
    redis_patterns: int
    consul_entries: int
    postgres_connections: Mapping[str, int]
    """By pool."""


@dataclass
class Peak:
    """The most that was seen while it watched."""

    resident: dict[str, int]
    postgres_connections: dict[str, int]


def processes(stack: Stack) -> list[str]:
    """The names of our own processes."""
    return [p["part"] for p in stack.state()["parts"] if p["part"].partition("-")[0] in OURS]


def resident(stack: Stack, part: str) -> int:
    """Bytes of memory that a process has now."""
    text = Path(f"/proc/{stack.pid(part)}/statm").read_text()
    return int(text.split()[1]) * 4096


def cpu_seconds(stack: Stack, part: str) -> float:
    """User and system time of a process since its start."""
    fields = Path(f"/proc/{stack.pid(part)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def samples(stack: Stack, part: str) -> dict[str, float]:
    """The metrics of a process: `name{labels}` → value."""
    port = stack.state()["urls"]["metricsPorts"][part]
    async with httpx.AsyncClient(timeout=10.0, trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def total(stack: Stack, service: str, name: str, label: str = "") -> float:
    """A metric over all processes of a service, of all labels that contain this text."""
    found = 0.0
    for part in processes(stack):
        if part.partition("-")[0] == service:
            values = await samples(stack, part)
            named = ((key.partition("{"), value) for key, value in values.items())
            found += sum(value for (key, _, labels), value in named if key == name and label in labels)
    return found


async def holdings(stack: Stack) -> Holdings:
    """All of it, now."""
    parts = processes(stack)
    by_part = {part: await samples(stack, part) for part in parts}
    redis = Redis.from_url(stack.redis_url)
    try:
        keys = int(await redis.dbsize())
        channels = len(await redis.pubsub_channels())
        patterns = int(await redis.pubsub_numpat())
    finally:
        await redis.aclose()
    async with httpx.AsyncClient(base_url=f"http://{stack.consul_addr}", trust_env=False) as http:
        entries = len((await http.get("/v1/agent/services")).json())
    return Holdings(
        {part: resident(stack, part) for part in parts},
        {part: int(values["process_open_fds"]) for part, values in by_part.items()},
        {part: _tasks(part, values) for part, values in by_part.items()},
        keys,
        channels,
        patterns,
        entries,
        await connections(stack),
    )


async def connections(stack: Stack) -> dict[str, int]:
    """Connections to PostgreSQL by pool, those of our services only."""
    postgres = await asyncpg.connect(stack.postgres_dsn, ssl=False)
    try:
        rows = await postgres.fetch(
            "SELECT application_name AS pool, count(*) AS n FROM pg_stat_activity"
            " WHERE usename LIKE 'polychat_%' GROUP BY application_name"
        )
    finally:
        await postgres.close()
    return {row["pool"]: row["n"] for row in rows}


@asynccontextmanager
async def peak(stack: Stack) -> AsyncIterator[Peak]:
    """Watches while the block lasts."""
    seen = Peak({}, {})

    async def watch() -> None:
        while True:
            for part in processes(stack):
                seen.resident[part] = max(seen.resident.get(part, 0), resident(stack, part))
            for pool, count in (await connections(stack)).items():
                seen.postgres_connections[pool] = max(seen.postgres_connections.get(pool, 0), count)
            await asyncio.sleep(EVERY_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _tasks(part: str, values: Mapping[str, float]) -> int:
    return int(values[f"polychat_{re.sub('-.*', '', part)}_tasks"])
