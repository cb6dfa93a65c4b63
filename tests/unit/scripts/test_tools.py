"""Short commands and what only one process may do at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.stack.tools import one_at_a_time


async def test_the_second_waits_for_the_first_and_may_give_up(tmp_path: Path) -> None:
    """Ctrl-C ends a wait for another stack's build at once."""
    lock = tmp_path / "lock"

    async def second() -> None:
        async with one_at_a_time(lock):
            pass

    async with one_at_a_time(lock):
        waiting = asyncio.create_task(second())
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.wait_for(second(), 5)
