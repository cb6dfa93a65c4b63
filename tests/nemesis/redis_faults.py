"""Faults of Redis while it runs: everything forgotten, subscribers cut, no memory, no answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from tests.nemesis.fault import Fault, Inject, World

TIGHT = {
    "no memory in redis": ("maxmemory", "1", "0"),
    "tiny buffers in redis": (
        "client-output-buffer-limit",
        "pubsub 1kb 1kb 1",
        "pubsub 33554432 8388608 60",
    ),
}
"""By name: a setting, its value during the fault and the one that Redis starts with."""


def redis_faults() -> list[Fault]:
    """Each is over by itself, or when Redis starts again."""
    return [
        Fault("flush redis", "redis", _command("FLUSHALL")),
        Fault("cut redis subscribers", "redis", _command("CLIENT", "KILL", "TYPE", "pubsub")),
        Fault("cut redis clients", "redis", _command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")),
        Fault("pause redis", "redis", _pause, (1.0, 8.0)),
        *(Fault(name, "redis", _tight(*setting), (2.0, 10.0)) for name, setting in TIGHT.items()),
    ]


@asynccontextmanager
async def _client(world: World) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.from_url(world.stack.redis_url)
    try:
        yield client
    finally:
        await client.aclose()


def _command(*words: str) -> Inject:
    async def send(world: World, _seconds: float, _chance: random.Random) -> None:
        async with _client(world) as client:
            await client.execute_command(*words)  # type: ignore[no-untyped-call]

    return send


async def _pause(world: World, seconds: float, _chance: random.Random) -> None:
    async with _client(world) as client:
        await client.client_pause(int(seconds * 1000))
    await asyncio.sleep(seconds)


def _tight(setting: str, during: str, after: str) -> Inject:
    async def tighten(world: World, seconds: float, _chance: random.Random) -> None:
        async with _client(world) as client:
            await client.config_set(setting, during)
            try:
                await asyncio.sleep(seconds)
            finally:
                await client.config_set(setting, after)

    return tighten
