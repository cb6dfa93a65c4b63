"""Rooms, memberships and the outbox in dicts (ports.RoomStore, ports.Outbox, ports.KeptOutbox), for tests."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from services.chat.domain import Change, Crowd, Membership, NewRoom, Role, Room, RoomKind, State
from services.chat.events import membership_entry, subject_of
from services.chat.ports import (
    Changed,
    Clock,
    Decide,
    Origin,
    OutboxEntry,
    Produce,
    ProducedEntry,
    RoomMember,
)


@dataclass(slots=True)
class _Row:
    entry: OutboxEntry
    since: float


class MemoryRoomStore:
    """Keeps the same promises as PostgreSQL, but for surviving the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rooms: dict[int, Room] = {}
        self._memberships: dict[RoomMember, Membership] = {}
        self._pairs: dict[tuple[int, int], int] = {}
        self._requests: dict[tuple[int, bytes], tuple[int, bytes]] = {}
        self._rows: dict[int, _Row] = {}
        """Wait to be produced."""
        self._produced: dict[int, _Row] = {}
        """Were produced and are not confirmed yet."""
        self._draining: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._join_numbers = itertools.count(1)
        self._outbox_ids = itertools.count(1)

    async def create_room(
        self, new: NewRoom, user_id: int, request_key: bytes, body_hash: bytes, origin: Origin
    ) -> Changed | None:
        """See ports.RoomStore."""
        first = self._requests.get((user_id, request_key))
        if first is None:
            self._requests[(user_id, request_key)] = (new.room.room_id, body_hash)
            return self._write_new(new, origin)
        room_id, first_hash = first
        if first_hash != body_hash:
            return None
        return Changed(self._rooms[room_id], self._crowd_of(room_id, [user_id]))

    async def open_direct_room(self, new: NewRoom, origin: Origin) -> Changed:
        """See ports.RoomStore."""
        assert new.room.direct_users is not None  # noqa: S101 — the caller made a direct room
        room_id = self._pairs.setdefault(new.room.direct_users, new.room.room_id)
        if room_id == new.room.room_id:
            return self._write_new(new, origin)
        return Changed(self._rooms[room_id], self._crowd_of(room_id, new.room.direct_users))

    async def change(self, room_id: int, user_ids: Sequence[int], decide: Decide, origin: Origin) -> Changed:
        """See ports.RoomStore."""
        room = self._rooms.get(room_id)
        if room is None:
            decide(None, Crowd({}))
            raise LookupError(f"a rule allowed a change of room {room_id}, which does not exist")
        joined = [m for m in self._memberships.values() if m.room_id == room_id and m.joined]
        owners = sum(m.role is Role.OWNER for m in joined)
        memberships = self._crowd_of(room_id, user_ids)
        changes = decide(room, Crowd(memberships, len(joined), owners))
        entries = self._write(changes, origin)
        return Changed(room, memberships | self._crowd_of(room_id, user_ids), entries)

    async def room(self, room_id: int) -> Room | None:
        """See ports.RoomStore."""
        return self._rooms.get(room_id)

    async def rooms(self, room_ids: Sequence[int]) -> dict[int, Room]:
        """See ports.RoomStore."""
        return {room_id: self._rooms[room_id] for room_id in room_ids if room_id in self._rooms}

    async def public_rooms(self, before_room_id: int, limit: int) -> list[Room]:
        """See ports.RoomStore."""
        found = [
            room
            for room in self._rooms.values()
            if room.kind is RoomKind.PUBLIC and room.archive_time is None and room.room_id < before_room_id
        ]
        return sorted(found, key=lambda room: -room.room_id)[:limit]

    async def memberships(self, keys: Sequence[RoomMember]) -> dict[RoomMember, Membership]:
        """See ports.RoomStore."""
        return {key: self._memberships[key] for key in keys if key in self._memberships}

    async def list_memberships(self, room_id: int, after_join_number: int, limit: int) -> list[Membership]:
        """See ports.RoomStore."""
        found = [
            m
            for m in self._memberships.values()
            if m.room_id == room_id and m.joined and m.join_number > after_join_number
        ]
        return sorted(found, key=lambda m: m.join_number)[:limit]

    async def move(self, room_id: int, limit: int, produce: Produce) -> int:
        """See ports.Outbox."""
        async with self._draining[room_id]:
            ids = sorted(i for i, row in self._rows.items() if row.entry.entry.room_id == room_id)[:limit]
            if ids:
                await produce([self._rows[i].entry for i in ids])
            for outbox_id in ids:
                row = self._rows.pop(outbox_id)
                self._produced[outbox_id] = _Row(row.entry, self._clock())
            return len(ids)

    async def produced(self, seconds: float, limit: int) -> list[ProducedEntry]:
        """See ports.KeptOutbox."""
        now = self._clock()
        return [
            ProducedEntry(row.entry, subject_of(row.entry.entry.event), now - row.since)
            for _, row in sorted(self._produced.items())
            if now - row.since >= seconds
        ][:limit]

    async def confirm(self, outbox_ids: Collection[int]) -> None:
        """See ports.KeptOutbox."""
        for outbox_id in outbox_ids:
            self._produced.pop(outbox_id, None)

    async def produce_again(self, room_ids: Sequence[int]) -> int:
        """See ports.KeptOutbox."""
        last: dict[RoomMember, int] = {}
        for outbox_id, row in sorted((self._produced | self._rows).items()):
            entry = row.entry.entry
            last[(entry.room_id, subject_of(entry.event))] = outbox_id
        ids = [i for i, row in self._produced.items() if row.entry.entry.room_id in room_ids]
        taken = {outbox_id: self._produced.pop(outbox_id) for outbox_id in ids}
        again = {outbox_id: row for outbox_id, row in taken.items() if outbox_id in last.values()}
        self._rows |= again
        return len(again)

    async def stale_rooms(self, seconds: float, limit: int) -> list[int]:
        """See ports.Outbox."""
        old = self._clock() - seconds
        rooms = dict.fromkeys(row.entry.entry.room_id for row in self._rows.values() if row.since < old)
        return list(rooms)[:limit]

    async def depth(self) -> int:
        """See ports.Outbox."""
        return len(self._rows)

    def _write_new(self, new: NewRoom, origin: Origin) -> Changed:
        self._rooms[new.room.room_id] = new.room
        entries = self._write(new.changes, origin)
        user_ids = [change.membership.user_id for change in new.changes]
        return Changed(new.room, self._crowd_of(new.room.room_id, user_ids), entries)

    def _write(self, changes: Sequence[Change], origin: Origin) -> list[OutboxEntry]:
        entries = []
        for change in changes:
            self._put(change.membership)
            entry = membership_entry(change.event, origin.new_request_key())
            row = OutboxEntry(next(self._outbox_ids), entry, origin.reply_to, origin.next_correlation())
            self._rows[row.outbox_id] = _Row(row, self._clock())
            entries.append(row)
        return entries

    def _put(self, membership: Membership) -> None:
        key = (membership.room_id, membership.user_id)
        known = self._memberships.get(key)
        comes_in = membership.state is State.JOINED and (known is None or known.state is not State.JOINED)
        number = next(self._join_numbers) if comes_in or known is None else known.join_number
        self._memberships[key] = replace(membership, join_number=number)

    def _crowd_of(self, room_id: int, user_ids: Sequence[int]) -> dict[int, Membership]:
        keys = ((room_id, user_id) for user_id in user_ids)
        return {key[1]: self._memberships[key] for key in keys if key in self._memberships}
