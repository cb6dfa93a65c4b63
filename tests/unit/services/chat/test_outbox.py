"""The sweep over rooms whose writer did not drain them."""

from __future__ import annotations

import pytest

from chassis.errors import BackendUnavailable
from services.chat.outbox import OutboxRelay
from services.chat.ports import Produce

LOCKED, FREE = 1, 2


class Outbox:
    """One row a room; those of one room are held by another instance."""

    def __init__(self) -> None:
        self.rooms = [LOCKED, FREE]

    async def move(self, room_id: int, _limit: int, produce: Produce) -> int:
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
