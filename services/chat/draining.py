"""Leaving without losing anything: the edges are sent elsewhere, what is pending is answered."""

from __future__ import annotations

import asyncio
import contextlib

from chassis import failpoints, logs
from services.chat.hub import Hub
from services.chat.use_cases.pending import Pending

LOOK_SECONDS = 0.05
LEAVE_SECONDS = 1.0
"""An edge that knows another instance leaves at once. One that stays has none to go to: the sooner this
instance ends, the sooner its successor is there, and sends are given up after 5 s."""

log = logs.get("chat")


async def drain(hub: Hub, pending: Pending, seconds: float) -> None:
    """Sends the edges elsewhere, takes nothing more from those that stay, answers what is pending.

    Returns when nothing is pending, or after `seconds`; then ends the links. What was not taken or not
    answered the edges say again to the next instance.
    """
    hub.drain()
    await failpoints.reach("chat.in_drain")
    try:
        async with asyncio.timeout(seconds):
            await _left(hub)
            hub.closed = True
            while len(pending):  # noqa: ASYNC110 — the end of many things, looked at rarely
                await asyncio.sleep(LOOK_SECONDS)
            if hub.edges:
                await asyncio.sleep(LOOK_SECONDS)  # the last answers are on their way down
    except TimeoutError:
        log.warning("drain_cut", pending=len(pending), edges=len(hub.edges))
    for edge in list(hub.edges):
        edge.output.end()


async def _left(hub: Hub) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_SECONDS):
            while hub.edges:  # noqa: ASYNC110 — the end of many things, looked at rarely
                await asyncio.sleep(LOOK_SECONDS)
