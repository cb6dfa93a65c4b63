"""The sweep over rooms whose writer did not drain them."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from chassis.errors import BackendUnavailable
from services.chat.outbox import CONCURRENT, OutboxRelay
from services.chat.ports import Produce
from tests.support.chat_world import settle

LOCKED, FREE = 1, 2


class Outbox:
    """One row a room; those of one room are held by another instance."""

    def __init__(self) -> None:
        self.rooms = [LOCKED, FREE]
        self.answers = asyncio.Event()
        self.answers.set()

    async def move(self, room_id: int, _limit: int, produce: Produce) -> int:
        await self.answers.wait()
        if room_id == LOCKED:
            raise BackendUnavailable("postgres")
        await produce([])
        self.rooms.remove(room_id)
        return 1

    async def stale_rooms(self, _seconds: float, limit: int) -> list[int]:
        return self.rooms[:limit]

    async def depth(self) -> int:
        return len(self.rooms)


async def take(_rows: object) -> None:
    """A log that takes everything."""


async def test_a_room_in_trouble_does_not_hold_up_the_others() -> None:
    """Its rows stay, and the sweep says that it failed."""
    outbox = Outbox()
    depths: list[int] = []
    relay = OutboxRelay(outbox, take, on_depth=depths.append)
    with pytest.raises(BackendUnavailable):
        await relay.sweep()
    assert (outbox.rooms, depths) == ([LOCKED], [2])


async def test_nothing_is_remembered_of_a_room_that_was_drained() -> None:
    """Nor of one that could not be."""
    relay = OutboxRelay(Outbox(), take)
    await relay.drain(FREE)
    with pytest.raises(BackendUnavailable):
        await relay.drain(LOCKED)
    assert (dict(relay._running), relay._next) == ({}, {})


async def test_rooms_that_wait_for_a_relay_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while Kafka is away: who comes later is told at once, and the sweep moves their rows in time."""
    monkeypatch.setattr("services.chat.outbox.MAX_WAITING", 3)
    outbox = Outbox()
    outbox.answers.clear()
    outbox.rooms = list(range(FREE, FREE + 3 + CONCURRENT))
    relay = OutboxRelay(outbox, take)
    waiting = []
    for room in outbox.rooms:
        waiting.append(asyncio.create_task(relay.drain(room)))
        await settle()
    with pytest.raises(BackendUnavailable):
        await relay.drain(FREE + 100)
    outbox.answers.set()
    await asyncio.gather(*waiting)
    assert outbox.rooms == []


async def test_a_run_that_fails_when_nobody_waits_any_more_is_no_loose_end() -> None:
    """A caller is answered by the outcome and leaves; the rows are the sweep's."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    outbox = Outbox()
    outbox.answers.clear()
    relay = OutboxRelay(outbox, take)
    waiting = asyncio.create_task(relay.drain(LOCKED))
    await settle()
    waiting.cancel()
    await settle()
    outbox.answers.set()
    await settle()
    assert waiting.cancelled()
    del waiting
    gc.collect()
    assert complaints == []
