"""Mending: what is missing is fetched in pages, and what does not exist is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from polychat.internal.log.v1 import log_read_service_pb2 as pb
from polychat.internal.log.v1.record_pb2 import EventRecord

import edge.holes
from chassis.errors import BackendUnavailable
from chassis.telemetry import Metrics
from edge.fanout import Fanout
from edge.holes import Mender
from edge.metrics import EdgeMetrics
from edge.peer import Outbox
from edge.room import Room
from tests.support.edge_client import until


class Log:
    """A reader that has this many events of every room, and may be away."""

    def __init__(self, head: int) -> None:
        self.head = head
        self.failures = 0
        self.asked = 0

    async def read(self, ranges: Sequence[pb.LogRange]) -> Sequence[pb.LogStretch]:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise BackendUnavailable("message")
        return [self._stretch(wanted) for wanted in ranges]

    def _stretch(self, wanted: pb.LogRange) -> pb.LogStretch:
        stretch = pb.LogStretch(room_id=wanted.room_id, head_sequence=self.head)
        last = min(self.head, wanted.after_sequence + wanted.limit)
        for sequence in range(wanted.after_sequence + 1, last + 1):
            record = EventRecord(room_id=wanted.room_id, sequence=sequence)
            stretch.entries.add(sequence=sequence, to_sequence=sequence, event=record)
        return stretch


async def mended(log: Log, target: int, monkeypatch: pytest.MonkeyPatch) -> Room:
    """A room that heard of this head, after the mender did what it can."""
    monkeypatch.setattr(edge.holes, "PAUSE_SECONDS", 0.0)
    metrics = EdgeMetrics(Metrics("edge"))
    mender = Mender(log, metrics, grace=0.0)
    fanout = Fanout(Outbox(asyncio.get_running_loop()), metrics, mender.want)
    room = fanout.rooms[7] = Room(7, 0)
    room.log.observe(target)
    mender.want(room)
    task = asyncio.create_task(mender.run(fanout))
    await until(lambda: not room.log.missing)
    task.cancel()
    return room


async def test_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(450)
    assert (await mended(log, 450, monkeypatch)).log.head == 450
    assert log.asked == 3


async def test_a_store_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(3)
    log.failures = 4
    assert (await mended(log, 3, monkeypatch)).log.head == 3


async def test_a_head_that_the_store_does_not_have_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restored database: the room goes on from what there is."""
    log = Log(3)
    room = await mended(log, 9, monkeypatch)
    assert (room.log.head, room.log.target) == (3, 3)
