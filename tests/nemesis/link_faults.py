"""Bad links between processes, by toxiproxy: for a stack whose every link leads through one."""

from __future__ import annotations

import asyncio
import random
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
TOXICS: dict[str, dict[str, int]] = {
    "latency": {"latency": 200, "jitter": 50},
    "bandwidth": {"rate": 64},
    "timeout": {"timeout": 0},
}
"""By toxiproxy's name for them; a timeout of 0 lets nothing through and closes nothing."""
SECONDS = (1.0, 8.0)
"""Shorter and longer than a send may take; clients give up an answer after 15 s."""


def link_faults() -> list[Fault]:
    """Each lasts longer or shorter than a send may take."""
    faults = []
    for link in LINKS:
        faults += [Fault(f"{kind} on {link}", f"link {link}", _toxic(link, kind), SECONDS) for kind in TOXICS]
        faults.append(Fault(f"cut {link}", f"link {link}", _cut(link), SECONDS))
        faults.append(Fault(f"reset {link}", f"link {link}", _reset(link)))
    return faults


def _toxic(link: str, kind: str) -> Inject:
    async def spoil(world: World, seconds: float, _chance: random.Random) -> None:
        async with cast(LinkedStack, world.stack).toxiproxy.toxic(link, kind, **TOXICS[kind]):
            await asyncio.sleep(seconds)

    return spoil


def _cut(link: str) -> Inject:
    async def cut(world: World, seconds: float, _chance: random.Random) -> None:
        async with cast(LinkedStack, world.stack).toxiproxy.cut(link):
            await asyncio.sleep(seconds)

    return cut


def _reset(link: str) -> Inject:
    async def reset(world: World, _seconds: float, _chance: random.Random) -> None:
        await cast(LinkedStack, world.stack).toxiproxy.reset(link)

    return reset
