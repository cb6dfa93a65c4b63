"""The room log in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

import asyncpg

from chassis import failpoints
from chassis.errors import BackendUnavailable
from chassis.postgres import Pool, acquire, transaction
from chassis.sql import load_queries
from services.message.commit_rows import commit_columns, millis_of, rest_columns
from services.message.domain import FOREVER, First, Member, Plan, Position, RequestKey, Room, Span
from services.message.errors import RecordRefused, RequestKnown, RoomLocked
from services.message.ports import (
    STRETCHES_BYTES,
    Ended,
    Page,
    Range,
    RoomEpoch,
    RoomOfUser,
    RoomsAsked,
    Sight,
    Standing,
    StoredEvent,
    StoredMessage,
    Stretch,
)

queries = load_queries(__package__)


async def known_requests(pool: Pool, keys: Sequence[RequestKey]) -> dict[RequestKey, First]:
    """Which of these requests were committed, and as what."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(
            queries.known,
            [key.room_id for key in keys],
            [key.sender_user_id for key in keys],
            [key.request_id for key in keys],
        )
    return {
        RequestKey(r["room_id"], r["sender_user_id"], r["request_id"]): First(
            r["body_hash"], r["sequence"], r["message_id"], millis_of(r["create_time"])
        )
        for r in rows
    }


class PostgresLogWriter:
    """LogWriter. Its pool's lock_timeout is how long a commit waits for a row."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, partitions: Sequence[int]) -> dict[int, Position]:
        async with acquire(self._pool) as connection:
            return _positions(await connection.fetch(queries.claim, sorted(partitions)))

    async def positions(self, partitions: Sequence[int]) -> dict[int, Position]:
        async with acquire(self._pool) as connection:
            return _positions(await connection.fetch(queries.positions, list(partitions)))

    async def load(
        self, rooms: Sequence[int], members: Sequence[Member]
    ) -> tuple[dict[int, Room], dict[Member, int]]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(
                queries.load, list(rooms), [room_id for room_id, _ in members], [user for _, user in members]
            )
        heads = {
            r["room_id"]: Room(r["head_sequence"], r["message_count"], r["activity"], r["archived"])
            for r in rows
            if r["user_id"] is None
        }
        joined = {(r["room_id"], r["user_id"]): r["head_sequence"] for r in rows if r["user_id"] is not None}
        return heads, joined

    async def known(self, keys: Sequence[RequestKey]) -> dict[RequestKey, First]:
        return await known_requests(self._pool, keys)

    async def commit(self, plans: Sequence[Plan]) -> frozenset[int]:
        columns, rest = commit_columns(plans), rest_columns(plans)
        await failpoints.reach("message.before_commit")
        connected = acquire if rest is None else transaction  # a statement alone is a transaction
        async with connected(self._pool) as connection:
            with _refusals():
                rows = await connection.fetch(queries.commit, *columns)
                if rest is not None and len(rows) == len(plans):
                    await connection.execute(queries.commit_rest, *rest)
        return frozenset(row["partition"] for row in rows)

    async def restart(self, position: Position, next_offset: int) -> bool:
        async with acquire(self._pool) as connection:
            partition, epoch, old_offset = position[:3]
            return bool(await connection.fetch(queries.restart, partition, old_offset, epoch, next_offset))


class PostgresLogReader:
    """LogReader."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def sight(self, room_id: int, user_id: int) -> Sight:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(queries.sight, room_id, user_id)
        spans = [Span(r["joined_sequence"], r["left_sequence"] or FOREVER) for r in rows]
        return Sight(spans, rows[0]["head_sequence"] if rows else 0)

    async def events(self, room_id: int, spans: Sequence[Span], page: Page) -> list[StoredEvent]:
        query = queries.events_after if page.forward else queries.events_before
        return [StoredEvent(*row) for row in await self._page(query, room_id, spans, page)]

    async def messages(self, room_id: int, spans: Sequence[Span], page: Page) -> list[StoredMessage]:
        query = queries.messages_after if page.forward else queries.messages_before
        return [StoredMessage(*row) for row in await self._page(query, room_id, spans, page)]

    async def _page(
        self, query: str, room_id: int, spans: Sequence[Span], page: Page
    ) -> list[tuple[int, bytes]]:
        lows, highs = [span.low for span in spans], [span.high for span in spans]
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(query, room_id, lows, highs, page.edge, page.limit)
        found = [(row["sequence"], row["payload"]) for row in rows]
        return found if page.forward else found[::-1]

    async def message(self, room_id: int, message_id: int) -> StoredMessage | None:
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(queries.message, room_id, message_id)
        return None if row is None else StoredMessage(row["sequence"], row["payload"])

    async def stretches(self, ranges: Sequence[Range]) -> list[Stretch]:
        if not ranges:
            return []
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(
                queries.stretches,
                [r.room_id for r in ranges],
                [r.after_sequence for r in ranges],
                [r.limit for r in ranges],
                [r.user_id for r in ranges],
                STRETCHES_BYTES // len(ranges),
            )
        return [_stretch(list(group)) for _, group in groupby(rows, key=lambda row: row["n"])]

    async def user_rooms(self, asked: RoomsAsked) -> Mapping[int, list[RoomOfUser]]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(
                queries.user_rooms,
                list(asked.user_ids),
                asked.limit + 1,
                asked.before_activity,
                asked.before_room_id,
                asked.with_last_message,
                None if asked.room_ids is None else list(asked.room_ids),
                asked.total,
            )
        found: dict[int, list[RoomOfUser]] = {}
        for row in rows:
            epochs = [RoomEpoch(*pair) for pair in zip(row["epochs"], row["epoch_heads"], strict=True)]
            room = RoomOfUser(*tuple(row)[1:-2])._replace(epochs=epochs)
            found.setdefault(row["user_id"], []).append(room)
        return found

    async def ended(self, user_ids: Sequence[int], limit: int) -> Mapping[int, list[Ended]]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(queries.ended, list(user_ids), limit)
        found: dict[int, list[Ended]] = {}
        for user_id, *ended in rows:
            found.setdefault(user_id, []).append(Ended(*ended))
        return found

    async def log_epochs(self) -> list[int]:
        async with acquire(self._pool) as connection:
            return [row["epoch"] for row in await connection.fetch(queries.log_epochs)]

    async def heads(self, room_ids: Sequence[int]) -> dict[int, int]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(queries.heads, list(room_ids))
        return {row["room_id"]: row["head_sequence"] for row in rows}

    async def known(self, keys: Sequence[RequestKey]) -> dict[RequestKey, First]:
        return await known_requests(self._pool, keys)


class PostgresReceipts:
    """ReceiptStore."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def standing(self, room_id: int, user_id: int) -> Standing | None:
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(queries.standing, room_id, user_id)
        return None if row is None else Standing(*row)

    async def advance(self, room_id: int, user_id: int, sequence: int) -> int | None:
        async with acquire(self._pool) as connection:
            moved = await connection.fetchval(queries.advance, room_id, user_id, sequence)
        if moved is not None:
            return int(moved)
        standing = await self.standing(room_id, user_id)
        return None if standing is None else standing.read_sequence

    async def receipts(self, room_id: int, after_user_id: int, limit: int) -> list[tuple[int, int]]:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(queries.receipts, room_id, after_user_id, limit)
        return [(row["user_id"], row["read_sequence"]) for row in rows]


@contextmanager
def _refusals() -> Iterator[None]:
    """What the database says about the rows, as the port says it."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise RoomLocked from error
    except (
        asyncpg.IntegrityConstraintViolationError,
        asyncpg.DataError,
        asyncpg.ProgramLimitExceededError,
    ) as error:
        raise RecordRefused(error.constraint_name or str(error.sqlstate)) from error


def _taken(error: asyncpg.UniqueViolationError) -> Exception:
    """What a taken key means: a repeat, a foreign writer's work, or a record that cannot be stored."""
    if error.constraint_name == "request_pkey":
        return RequestKnown()
    if error.constraint_name == "room_event_pkey":
        # Our heads are older than the table: another owner wrote. The position will say so.
        return BackendUnavailable("postgres")
    return RecordRefused(error.constraint_name or "unique")


def _positions(rows: Sequence[asyncpg.Record]) -> dict[int, Position]:
    return {
        r["partition"]: Position(
            r["partition"], r["owner_epoch"], r["next_offset"], r["anchor"], millis_of(r["commit_time"])
        )
        for r in rows
    }


def _stretch(rows: Sequence[asyncpg.Record]) -> Stretch:
    first = rows[0]
    events = [
        StoredEvent(r["sequence"], r["payload"], r["joined_user_id"] or 0, r["left_user_id"] or 0)
        for r in rows
        if r["sequence"] is not None
    ]
    spans = [Span(low, high) for low, high in zip(first["lows"] or (), first["highs"] or (), strict=True)]
    return Stretch(first["head_sequence"] or 0, spans, events, len(events) < (first["found"] or 0))
