"""Faults of Consul while it runs: bad settings, forgotten entries, ended sessions, lost keys."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.nemesis.fault import Fault, World

JUNK = (b"", b"\xff\xfe", b"-1", b"no number", b'{"a": [}', b"1e999", b"9" * 4096)
SETTINGS = (
    "chat/log_level",
    "chat/send_rate",
    "chat/send_burst",
    "message/log_level",
    "edge/log_level",
    "edge/connections_per_user",
    "edge/frames_per_second",
    "edge/frames_burst",
    "edge/nothing_we_know",
)
SERVICES = ("auth", "user", "chat", "message", "edge")
BACK_SECONDS = 15.0
"""An entry that was taken away is written again within 10 s."""


def consul_faults() -> list[Fault]:
    """None of them may be noticed by anybody who sends."""
    return [
        Fault("junk settings in consul", "consul", _junk, (1.0, 6.0)),
        Fault("deregister all in consul", "consul", _deregister),
        Fault("end sessions in consul", "consul", _end_sessions),
        Fault("lose keys of consul", "consul", _lose_keys),
    ]


@asynccontextmanager
async def _client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://{world.stack.consul_addr}/v1"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=10.0) as client:
        yield client


async def _junk(world: World, seconds: float, chance: random.Random) -> None:
    async with _client(world) as client:
        for setting in SETTINGS:
            await client.put(f"/kv/polychat/{setting}", content=chance.choice(JUNK))
        await asyncio.sleep(seconds)
        for setting in SETTINGS:
            await client.delete(f"/kv/polychat/{setting}")


async def _deregister(world: World, _seconds: float, _chance: random.Random) -> None:
    """The fault lasts until all have entered themselves again."""
    async with _client(world) as client:
        gone = list((await client.get("/agent/services")).json())
        for entry in gone:
            await client.put(f"/agent/service/deregister/{entry}")
        async with asyncio.timeout(BACK_SECONDS):
            while not set(gone) <= set((await client.get("/agent/services")).json()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def _end_sessions(world: World, _seconds: float, _chance: random.Random) -> None:
    """The leases of worker ids hang on them."""
    async with _client(world) as client:
        for session in (await client.get("/session/list")).json():
            await client.put(f"/session/destroy/{session['ID']}")


async def _lose_keys(world: World, _seconds: float, _chance: random.Random) -> None:
    async with _client(world) as client:
        await client.delete("/kv/polychat/", params={"recurse": "true"})
