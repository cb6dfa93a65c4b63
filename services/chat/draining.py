"""Leaving without losing anything: the edges are sent elsewhere, what is pending is answered."""

from __future__ import annotations

import asyncio

from chassis import failpoints, logs
from services.chat.hub import Hub
from services.chat.use_cases.pending import Pending

LOOK_SECONDS = 0.05

log = logs.get("chat")


async def drain(hub: Hub, pending: Pending, seconds: float) -> None:
    """Returns when no edge is attached and nothing is pending, or after `seconds`; then ends the links."""
    hub.drain()
    await failpoints.reach("chat.in_drain")
    try:
        async with asyncio.timeout(seconds):
            while len(pending) or hub.edges:  # noqa: ASYNC110 — the end of many things, looked at rarely
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        log.warning("drain_cut", pending=len(pending), edges=len(hub.edges))
    for edge in list(hub.edges):
        edge.output.end()
