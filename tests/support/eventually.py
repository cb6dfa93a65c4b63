"""Waiting for something that another process does and gives no event for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T]], *, seconds: float = 10.0, what: str = "") -> T:
    """Asks until the answer is truthy and gives it. Raises TimeoutError with the last answer."""
    deadline = time.monotonic() + seconds
    answer = await probe()
    while not answer and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
        answer = await probe()
    if not answer:
        raise TimeoutError(
            f"{what or 'it'} did not happen within {seconds} s; the last answer was {answer!r}"
        )
    return answer
