"""Sees to it that changes of rooms outlive a broker that loses records (docs/decisions/0007-lost-log.md).

A row of the outbox that Kafka has acknowledged is kept until the log of the message service knows its
request, or that of a later row about the same user. Rows that it does not know for long were lost with
Kafka's records: the last one about each user of their room goes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from chassis import logs
from chassis.errors import Failure
from services.chat.ports import KeptOutbox, Outcome, ProducedEntry, RequestKey, RoomMember

SWEEP_SECONDS = 1.0
ASK_SECONDS = 5.0
"""After so long the log has normally come to a row."""
LOST_SECONDS = 20.0
"""A row that the log does not know by then goes again; early is harmless, a repeat is one event (I2)."""
ROWS_AT_ONCE = 500

log = logs.get("chat")


class Requests(Protocol):
    """Of ports.Messages what is used here; may raise a Failure."""

    async def lookup(self, keys: Sequence[RequestKey]) -> list[Outcome]:
        """What became of entries; those that the log has not come to, or never had, are left out."""


class Confirmer:
    """Removes rows that the log has read, sends those again that were lost on the way."""

    def __init__(
        self,
        outbox: KeptOutbox,
        messages: Requests,
        *,
        on_lost: Callable[[int], None] = lambda _rows: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._outbox = outbox
        self._messages = messages
        self._on_lost = on_lost
        self._sleep = sleep

    async def run(self) -> None:
        """Sweeps every second until cancelled."""
        while True:
            await self._sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Failure as failure:
                log.warning("outbox_not_confirmed", reason=failure.reason, message=failure.message)

    async def sweep(self) -> None:
        """Looks at the oldest kept rows once. Raises a Failure when a store or message is away."""
        rows = await self._outbox.produced(ASK_SECONDS, ROWS_AT_ONCE)
        if not rows:
            return
        outcomes = await self._messages.lookup([RequestKey(r.row.entry, r.row.outbox_id) for r in rows])
        done = _done(rows, {outcome.correlation for outcome in outcomes})
        await self._outbox.confirm(done)
        late = [r.row for r in rows if r.row.outbox_id not in done and r.seconds > LOST_SECONDS]
        lost = sorted({row.entry.room_id for row in late})
        if lost:
            again = await self._outbox.produce_again(lost)
            self._on_lost(again)
            log.error("outbox_rows_lost_by_the_log", rooms=lost, rows=again)


def _done(rows: Sequence[ProducedEntry], known: Collection[int]) -> set[int]:
    """The rows that the log has read, and all before them about the same user: those are read or lost, and
    gone again they would be the last word."""
    last: dict[RoomMember, int] = {}
    for row in rows:  # ascending
        if row.row.outbox_id in known:
            last[_member(row)] = row.row.outbox_id
    return {r.row.outbox_id for r in rows if r.row.outbox_id <= last.get(_member(r), 0)}


def _member(row: ProducedEntry) -> RoomMember:
    return row.row.entry.room_id, row.user_id
