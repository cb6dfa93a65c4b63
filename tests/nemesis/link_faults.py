"""Bad links between processes, by toxiproxy: for a stack whose every link leads through one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import cast

from tests.nemesis.fault import Fault, Inject, World
from tests.support.toxiproxy_stack import LinkedStack

LINKS = (
    "client",
    *("to-auth", "to-user", "to-chat", "to-message"),
    "consul",
    *("auth-postgres", "auth-redis", "user-postgres"),
    *("chat-postgres", "chat-redis", "chat-kafka"),
    *("message-postgres", "message-redis", "message-kafka"),
)
EDGES = ("edge-1", "edge-2")
TOXICS: dict[str, dict[str, int]] = {
    "latency": {"latency": 200, "jitter": 50},
    "bandwidth": {"rate": 64},
    "timeout": {"timeout": 0},
}
"""By toxiproxy's name for them; a timeout of 0 lets nothing through and closes nothing."""
SILENCES = {"requests": "upstream", "answers": "downstream"}
"""What is lost when only one direction of a link is silent, and toxiproxy's name for the direction."""
SECONDS = (1.0, 8.0)
"""Shorter and longer than a send may take."""
CLIENT_SECONDS = (1.0, 5.0)
"""The edge may still take its 5 s for an answer, which is due in 10 s: nothing befalls it meanwhile."""


def link_faults() -> list[Fault]:
    """Each lasts longer or shorter than a send may take."""
    return [
        Fault(
            name,
            f"link {link}",
            inject,
            CLIENT_SECONDS if link == "client" else SECONDS,
            others=EDGES if link == "client" else (),
        )
        for link in LINKS
        for name, inject in _faults_of(link)
    ]


def _faults_of(link: str) -> Iterator[tuple[str, Inject]]:
    for kind in TOXICS:
        yield f"{kind} on {link}", _toxic(link, kind)
    for lost, stream in SILENCES.items():
        yield f"no {lost} on {link}", _silent(link, stream)
    yield f"cut {link}", _cut(link)
    yield f"reset {link}", _reset(link)


def _toxic(link: str, kind: str) -> Inject:
    async def spoil(world: World, seconds: float, _chance: random.Random) -> None:
        async with cast(LinkedStack, world.stack).toxiproxy.toxic(link, kind, **TOXICS[kind]):
            await asyncio.sleep(seconds)

    return spoil


def _silent(link: str, stream: str) -> Inject:
    async def silence(world: World, seconds: float, _chance: random.Random) -> None:
        async with cast(LinkedStack, world.stack).toxiproxy.silent(link, stream):
            await asyncio.sleep(seconds)

    return silence


def _cut(link: str) -> Inject:
    async def cut(world: World, seconds: float, _chance: random.Random) -> None:
        async with cast(LinkedStack, world.stack).toxiproxy.cut(link):
            await asyncio.sleep(seconds)

    return cut


def _reset(link: str) -> Inject:
    async def reset(world: World, _seconds: float, _chance: random.Random) -> None:
        await cast(LinkedStack, world.stack).toxiproxy.reset(link)

    return reset
