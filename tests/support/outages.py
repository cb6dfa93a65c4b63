"""Parts that stand still or are down for a while, and then are as before."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.support.family import family
from tests.support.stack import Stack


@contextmanager
def frozen(stack: Stack, part: str) -> Iterator[None]:
    """SIGSTOP for a part and all its processes, SIGCONT at the end of the block."""
    members = family(stack.pid(part))
    try:
        _signal(members, signal.SIGSTOP)
        yield
    finally:
        _signal(members, signal.SIGCONT)


def _signal(members: Iterable[int], number: signal.Signals) -> None:
    for member in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, number)


async def asked_to_end(stack: Stack, part: str) -> None:
    """SIGTERM; returns when the supervisor has it ready again."""
    pid = stack.pid(part)
    stack.kill(part, signal.SIGTERM)
    await stack.back(part, pid)


@asynccontextmanager
async def down(stack: Stack, part: str) -> AsyncIterator[None]:
    """Killed, and not started again before the end of the block: its supervisor stands still meanwhile."""
    pid = stack.pid(part)
    stack.kill("up", signal.SIGSTOP)
    try:
        stack.kill(part)
        yield
    finally:
        stack.kill("up", signal.SIGCONT)
        await stack.back(part, pid)
