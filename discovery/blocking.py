"""Consul's blocking queries, as its documentation asks for them ("Blocking Queries", implementation details).

The index starts at 0, is reset to 0 when it falls back (a restored or wiped server) and after a
failure, and is never sent as less than 1 once known; requests are paced whatever the answers do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, Protocol, TypeVar

from discovery.agent import ConsulAway
from discovery.backoff import Backoff

PACE_SECONDS: Final = 0.5
"""Between the starts of two requests: at most 2 a second even when every answer comes at once."""
WAIT_SECONDS: Final = 8.0
"""How long a query blocks, at the most, when nothing changes. As much later a frozen agent is noticed, and
one that was wiped between two requests: it blocks for the old index, which it has not reached.
"""
RETRY_FIRST_SECONDS: Final = 0.25
RETRY_MOST_SECONDS: Final = 4.0

T_contra = TypeVar("T_contra", contravariant=True)
T = TypeVar("T")


class Listener(Protocol[T_contra]):
    """What a query's answers are given to."""

    def answered(self, value: T_contra, *, after_break: bool) -> None:
        """A fresh answer; `after_break`: the first after Consul was away or its index fell back."""

    def away(self, error: ConsulAway) -> None:
        """No answer came; called for every failed request."""

    def wait_seconds(self) -> float:
        """How long the next query may block."""


def next_index(known: int, answered: int) -> int:
    """The index for the next request: 0 after a fall back, else at least 1."""
    return 0 if answered < known else max(1, answered)


async def follow(
    ask: Callable[[int, float], Awaitable[tuple[int, T]]],
    listener: Listener[T],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] | None = None,
) -> NoReturn:
    """Repeats a blocking query until cancelled. `ask(index, wait)` raises ConsulAway and nothing else."""
    now = clock or asyncio.get_running_loop().time
    backoff = Backoff(RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS)
    index, broken = 0, False
    while True:
        started = now()
        try:
            answered, value = await ask(index, listener.wait_seconds())
        except ConsulAway as error:
            index, broken = 0, True
            listener.away(error)
            await sleep(max(backoff.next(), PACE_SECONDS))
            continue
        backoff.reset()
        broken = broken or answered < index
        listener.answered(value, after_break=broken)
        index, broken = next_index(index, answered), False
        await sleep(max(0.0, started + PACE_SECONDS - now()))
