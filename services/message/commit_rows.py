"""Plans as the columns of the commit statement: one list per parameter, in its order."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.message.domain import Effect, Entry, First, Plan, RequestKey, Unreadable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(millis: int) -> datetime:
    """Milliseconds since 1970 as PostgreSQL's driver wants them."""
    return _EPOCH + timedelta(milliseconds=millis)


def millis_of(time: datetime) -> int:
    """The way back."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def commit_columns(plans: Sequence[Plan]) -> list[list[Any]]:
    """The parameters of `commit` for plans of different partitions.

    Rows that may be locked by others are in the order of their keys, so that nobody waits in a circle.
    """
    positions = sorted(
        (p.position.partition, p.position.next_offset, p.position.owner_epoch, p.next_offset, p.anchor)
        for p in plans
    )
    entries = [_entry(entry) for p in plans for entry in p.entries]
    rooms = sorted((room_id, *room) for p in plans for room_id, room in p.rooms.items())
    receipts = sorted((*member, *mark) for p in plans for member, mark in p.receipts.items())
    return [
        *_columns(positions, 5),
        *_columns(entries, 14),
        *_columns(rooms, 5),
        *_columns(receipts, 4),
    ]


def rest_columns(plans: Sequence[Plan]) -> list[list[Any]] | None:
    """The parameters of `commit_rest`; None when no plan has any of it."""
    if not any(p.memberships or p.dead or p.changeless for p in plans):
        return None
    memberships = sorted(((*key, left) for p in plans for key, left in p.memberships.items()), key=_first3)
    dead = [_dead(letter) for p in plans for letter in p.dead]
    changeless = [_request(*item) for p in plans for item in p.changeless.items()]
    return [*_columns(memberships, 4), *_columns(dead, 6), *_columns(changeless, 7)]


def _entry(entry: Entry) -> tuple[Any, ...]:
    command = entry.command
    return (
        command.key.room_id,
        command.key.sender_user_id,
        command.key.request_id,
        command.body_hash,
        entry.sequence,
        command.message_id,
        time_of(entry.create_millis),
        entry.message_number,
        command.kind,
        command.subject_user_id if command.effect is Effect.JOIN else None,
        command.subject_user_id if command.effect is Effect.LEAVE else None,
        entry.sealed.event,
        command.thread_root_message_id,
        entry.sealed.message,
    )


def _request(key: RequestKey, first: First) -> tuple[Any, ...]:
    return *key, first.body_hash, first.sequence, first.message_id, time_of(first.create_millis)


def _dead(letter: Unreadable) -> tuple[Any, ...]:
    raw = letter.raw
    return letter.partition, letter.offset, letter.reason, raw.key, raw.value, encode_headers(raw.headers)


def encode_headers(headers: Sequence[tuple[str, bytes]]) -> bytes:
    """Headers of any content as ASCII JSON: [[name, base64], …]."""
    return json.dumps([[name, base64.b64encode(value or b"").decode()] for name, value in headers]).encode()


def _first3(row: tuple[Any, ...]) -> tuple[int, int, int]:
    return row[0], row[1], row[2]


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]
