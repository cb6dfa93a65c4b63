"""Sees to it that changes of rooms outlive a broker that loses records (docs/decisions/0007-lost-log.md).

A row of the outbox that Kafka has acknowledged is kept until the log of the message service knows its
request, or shows its user where chat's own tables have them: then nothing is left to do. Rows that do
neither for long were lost with the log: the last one about each user of their room goes again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from chassis import logs
from chassis.errors import Failure
from services.chat.domain import Membership, State
from services.chat.ports import KeptOutbox, Messages, ProducedEntry, RequestKey, RoomMember

SWEEP_SECONDS = 1.0
ASK_SECONDS = 5.0
"""After so long a row's event is normally committed."""
LOST_SECONDS = 20.0
"""After so long without its event a row goes again; early is harmless, a repeat is one event (I2)."""
ROWS_AT_ONCE = 500

log = logs.get("chat")


class Memberships(Protocol):
    """Of ports.RoomStore what is used here."""

    async def memberships(self, keys: Sequence[RoomMember]) -> Mapping[RoomMember, Membership]:
        """Memberships by (room id, user id), in any state."""


class Confirmer:
    """Removes rows whose event is in the log, sends those again whose event is lost."""

    def __init__(
        self,
        outbox: KeptOutbox,
        memberships: Memberships,
        messages: Messages,
        *,
        on_lost: Callable[[int], None] = lambda _rows: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._outbox = outbox
        self._memberships = memberships
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
        known = {outcome.correlation for outcome in outcomes}
        by_room: defaultdict[int, list[ProducedEntry]] = defaultdict(list)
        for row in rows:
            if row.row.outbox_id not in known:
                by_room[row.row.entry.room_id].append(row)
        lost: list[int] = []
        for room_id, unknown in by_room.items():
            shown = await self._shown(room_id, {row.user_id for row in unknown})
            known.update(row.row.outbox_id for row in unknown if row.user_id in shown)
            if any(row.user_id not in shown and row.seconds > LOST_SECONDS for row in unknown):
                lost.append(room_id)
        await self._outbox.confirm(known)
        if lost:
            again = await self._outbox.produce_again(lost)
            self._on_lost(again)
            log.error("outbox_rows_lost_by_the_log", rooms=lost, rows=again)

    async def _shown(self, room_id: int, user_ids: set[int]) -> set[int]:
        """Those whom the log has in the room, or out of it, as chat's own tables have them.

        The tables are read first: who changes in between differs now or has a younger row.
        """
        keys = [(room_id, user_id) for user_id in sorted(user_ids)]
        memberships = await self._memberships.memberships(keys)
        joined = {user_id for (_, user_id), m in memberships.items() if m.state is State.JOINED}
        in_log = await self._messages.members_among(room_id, sorted(user_ids))
        return {user_id for user_id in user_ids if (user_id in joined) == (user_id in in_log)}
