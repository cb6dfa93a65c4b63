"""Rooms, memberships and the outbox on PostgreSQL (ports.RoomStore)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

import asyncpg

from chassis.postgres import Connection, Pool, acquire, transaction
from chassis.sql import load_queries
from services.chat.domain import Change, Crowd, Membership, NewRoom, Role, Room, RoomKind, State
from services.chat.events import membership_entry, subject_of
from services.chat.ports import (
    Changed,
    Decide,
    LogEntry,
    Origin,
    OutboxEntry,
    Produce,
    ProducedEntry,
    RoomMember,
)

_sql = load_queries(__package__)


class PostgresRoomStore:
    """One transaction a change; constraints decide who was first."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create_room(
        self, new: NewRoom, user_id: int, request_key: bytes, body_hash: bytes, origin: Origin
    ) -> Changed | None:
        """See ports.RoomStore."""
        request_id = uuid.UUID(bytes=request_key)
        async with transaction(self._pool) as tx:
            if await tx.fetchval(_sql.claim_request, user_id, request_id, new.room.room_id, body_hash):
                return await _write_new(tx, new, origin)
            first = await tx.fetchrow(_sql.get_request, user_id, request_id)
            if first is None or first["body_hash"] != body_hash:
                return None
            room = (await _rooms(tx, [first["room_id"]]))[first["room_id"]]
            return Changed(room, await _crowd_of(tx, room.room_id, [user_id]))

    async def open_direct_room(self, new: NewRoom, origin: Origin) -> Changed:
        """See ports.RoomStore."""
        assert new.room.direct_users is not None  # noqa: S101 — the caller made a direct room
        async with transaction(self._pool) as tx:
            if await tx.fetchval(_sql.claim_pair, *new.room.direct_users, new.room.room_id):
                return await _write_new(tx, new, origin)
            room_id = await tx.fetchval(_sql.get_pair, *new.room.direct_users)
            room = (await _rooms(tx, [room_id]))[room_id]
            return Changed(room, await _crowd_of(tx, room_id, new.room.direct_users))

    async def change(self, room_id: int, user_ids: Sequence[int], decide: Decide, origin: Origin) -> Changed:
        """See ports.RoomStore."""
        async with transaction(self._pool) as tx:
            if await tx.fetchval(_sql.lock_room, room_id) is None:
                decide(None, Crowd({}))
                raise LookupError(f"a rule allowed a change of room {room_id}, which does not exist")
            room = (await _rooms(tx, [room_id]))[room_id]
            memberships = await _crowd_of(tx, room_id, user_ids)
            count = await tx.fetchrow(_sql.count_members, room_id)
            assert count is not None  # noqa: S101 — an aggregate always gives a row
            changes = decide(room, Crowd(memberships, count["members"], count["owners"]))
            written, entries = await _write(tx, changes, origin)
            return Changed(room, memberships | written, entries)

    async def room(self, room_id: int) -> Room | None:
        """See ports.RoomStore."""
        return (await self.rooms([room_id])).get(room_id)

    async def rooms(self, room_ids: Sequence[int]) -> dict[int, Room]:
        """See ports.RoomStore."""
        async with acquire(self._pool) as connection:
            return await _rooms(connection, room_ids)

    async def public_rooms(self, before_room_id: int, limit: int) -> list[Room]:
        """See ports.RoomStore."""
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(_sql.list_public_rooms, before_room_id, limit)
        return [_room(row) for row in rows]

    async def memberships(self, keys: Sequence[RoomMember]) -> dict[RoomMember, Membership]:
        """See ports.RoomStore."""
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(_sql.get_memberships, [k[0] for k in keys], [k[1] for k in keys])
        return {(row["room_id"], row["user_id"]): _membership(row) for row in rows}

    async def list_memberships(self, room_id: int, after_join_number: int, limit: int) -> list[Membership]:
        """See ports.RoomStore."""
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(_sql.list_memberships, room_id, after_join_number, limit)
        return [_membership(row) for row in rows]


class PostgresOutbox:
    """The outbox rows as relay and confirmer see them (ports.Outbox, ports.KeptOutbox)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def move(self, room_id: int, limit: int, produce: Produce) -> int:
        """See ports.Outbox."""
        async with transaction(self._pool) as tx:
            rows = await tx.fetch(_sql.lock_outbox, room_id, limit)
            if rows:
                await produce([_outbox_entry(row) for row in rows])
                await tx.execute(_sql.mark_outbox, [row["id"] for row in rows])
            return len(rows)

    async def produced(self, seconds: float, limit: int) -> list[ProducedEntry]:
        """See ports.KeptOutbox."""
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(_sql.produced_outbox, seconds, limit)
        return [ProducedEntry(_outbox_entry(r), subject_of(r["event"]), r["seconds"]) for r in rows]

    async def confirm(self, outbox_ids: Collection[int]) -> None:
        """See ports.KeptOutbox."""
        async with acquire(self._pool) as connection:
            await connection.execute(_sql.delete_outbox, list(outbox_ids))

    async def produce_again(self, room_ids: Sequence[int]) -> int:
        """See ports.KeptOutbox."""
        return sum([await self._produce_again(room_id) for room_id in room_ids])

    async def stale_rooms(self, seconds: float, limit: int) -> list[int]:
        """See ports.Outbox."""
        async with acquire(self._pool) as connection:
            return [row["room_id"] for row in await connection.fetch(_sql.stale_outbox, seconds, limit)]

    async def depth(self) -> int:
        """See ports.Outbox."""
        async with acquire(self._pool) as connection:
            return int(await connection.fetchval(_sql.count_outbox))

    async def _produce_again(self, room_id: int) -> int:
        async with transaction(self._pool) as tx:
            await tx.fetchval(_sql.lock_room, room_id)  # no writer adds a row until this is done
            rows = await tx.fetch(_sql.room_outbox, room_id)
            last = {subject_of(row["event"]): row["id"] for row in rows}
            produced = {row["id"] for row in rows if row["produced"]}
            again = produced.intersection(last.values())
            await tx.execute(_sql.delete_outbox, list(produced - again))
            await tx.execute(_sql.unmark_outbox, list(again))
            return len(again)


async def _write_new(tx: Connection, new: NewRoom, origin: Origin) -> Changed:
    room = new.room
    await tx.execute(
        _sql.insert_room, room.room_id, room.kind, room.title, room.owner_user_id, room.create_time
    )
    written, entries = await _write(tx, new.changes, origin)
    return Changed(room, written, entries)


async def _write(
    tx: Connection, changes: Sequence[Change], origin: Origin
) -> tuple[dict[int, Membership], list[OutboxEntry]]:
    written: dict[int, Membership] = {}
    entries = []
    for change in changes:
        m = change.membership
        await tx.execute(_sql.put_membership, m.room_id, m.user_id, m.role, m.state, m.version, m.join_time)
        written[m.user_id] = m
        entries.append(await _enqueue(tx, change, origin))
    return written, entries


async def _enqueue(tx: Connection, change: Change, origin: Origin) -> OutboxEntry:
    entry = membership_entry(change.event, origin.new_request_key())
    correlation = origin.next_correlation()
    outbox_id = await tx.fetchval(
        _sql.insert_outbox,
        entry.room_id,
        uuid.UUID(bytes=entry.request_key),
        entry.body_hash,
        entry.event,
        origin.reply_to,
        correlation,
    )
    return OutboxEntry(outbox_id, entry, origin.reply_to, correlation)


async def _rooms(connection: Connection, room_ids: Sequence[int]) -> dict[int, Room]:
    rows = await connection.fetch(_sql.get_rooms, list(room_ids))
    return {row["room_id"]: _room(row) for row in rows}


async def _crowd_of(connection: Connection, room_id: int, user_ids: Sequence[int]) -> dict[int, Membership]:
    rows = await connection.fetch(_sql.get_memberships, [room_id] * len(user_ids), list(user_ids))
    return {row["user_id"]: _membership(row) for row in rows}


def _room(row: asyncpg.Record) -> Room:
    pair = None if row["user_low"] is None else (row["user_low"], row["user_high"])
    return Room(
        row["room_id"],
        RoomKind(row["kind"]),
        row["title"],
        row["create_time"],
        row["owner_user_id"],
        row["archive_time"],
        pair,
    )


def _membership(row: asyncpg.Record) -> Membership:
    return Membership(
        row["room_id"],
        row["user_id"],
        Role(row["role"]),
        State(row["state"]),
        row["version"],
        row["join_time"],
        row["join_number"],
    )


def _outbox_entry(row: asyncpg.Record) -> OutboxEntry:
    entry = LogEntry(row["room_id"], 0, row["request_id"].bytes, row["body_hash"], row["event"])
    return OutboxEntry(row["id"], entry, row["reply_to"], row["correlation"])
