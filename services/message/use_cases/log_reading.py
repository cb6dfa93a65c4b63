"""What the other processes ask about the log; they answer for what they show to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.message.domain import FOREVER, First, Outcome, RequestKey
from services.message.ports import (
    Ended,
    LogReader,
    Range,
    RoomEpoch,
    RoomOfUser,
    RoomsAsked,
    StoredEvent,
    Stretch,
)
from services.message.sequencer import repeat_of

ROOM_BYTES = 64
"""A room in an answer without its message, at most."""
EPOCH_BYTES = 20
MAX_ROOMS = 60_000
"""Rooms in one answer for all its users together."""
MAX_BYTES = MAX_ROOMS * ROOM_BYTES
"""Of one answer, so that it fits a gRPC message."""
MAX_ENDED = 10_000
"""Ended memberships in one answer for all its users together."""
MAX_ENDED_A_USER = 100
MAX_ROOMS_WITH_MESSAGE = 110
"""The same when each room brings a message of up to 32 KiB: a public page and the item after it."""


class Skip(NamedTuple):
    """A stretch that the user may not see, both ends included."""

    sequence: int
    to_sequence: int


class LogReading:
    """Reads for processes of the system."""

    def __init__(self, log: LogReader) -> None:
        self._log = log

    async def stretches(self, ranges: Sequence[Range]) -> list[tuple[int, list[StoredEvent | Skip]]]:
        """Per range the head and what follows `after_sequence` without a hole."""
        found = await self._log.stretches(ranges)
        return [
            (stretch.head_sequence, without_holes(asked, stretch))
            for asked, stretch in zip(ranges, found, strict=True)
        ]

    async def user_rooms(self, asked: RoomsAsked) -> list[tuple[int, list[RoomOfUser], bool]]:
        """Per user, in the order asked: their rooms, and whether there are more.

        When all of them together are too many for one answer, everybody gets an equal share.
        """
        most = MAX_ROOMS_WITH_MESSAGE if asked.with_last_message else MAX_ROOMS
        users = list(dict.fromkeys(asked.user_ids))
        limit = asked.limit
        found = await self._log.user_rooms(asked._replace(user_ids=users, total=most + 1))
        if sum(map(len, found.values())) > most:
            limit = max(1, min(limit, most // len(users) - 1))
            found = await self._log.user_rooms(asked._replace(user_ids=users, limit=limit))
        lists = {user: [_shortened(room) for room in rooms] for user, rooms in found.items()}
        fits = sum(_size(room) for rooms in lists.values() for room in rooms) <= MAX_BYTES
        share = MAX_BYTES if fits else MAX_BYTES // len(users)
        return [(user, *_page(lists.get(user, []), limit, share)) for user in asked.user_ids]

    async def ended(self, user_ids: Sequence[int]) -> Mapping[int, list[Ended]]:
        """The memberships of each user that ended last, those of a room ascending. Read after `user_rooms`:
        what ends in between is in both, and not in neither."""
        return await self._log.ended(user_ids, min(MAX_ENDED_A_USER, MAX_ENDED // max(1, len(user_ids))))

    async def log_epochs(self) -> Sequence[int]:
        """Every restore that the log has behind it, ascending. Read before what it is told with."""
        return await self._log.log_epochs()

    async def heads(self, room_ids: Sequence[int]) -> Mapping[int, int]:
        """Heads of the rooms that have a log."""
        return await self._log.heads(room_ids)

    async def outcomes(self, requests: Sequence[tuple[RequestKey, bytes, int]]) -> list[Outcome]:
        """What became of (key, body hash, correlation); those not committed are left out."""
        known: Mapping[RequestKey, First] = await self._log.known([key for key, _, _ in requests])
        return [
            repeat_of(key, body_hash, known[key])._replace(correlation=correlation)
            for key, body_hash, correlation in requests
            if key in known
        ]


def voiding(epochs: Sequence[RoomEpoch]) -> list[RoomEpoch]:
    """Of all restores, ascending, those that void a cursor which no later one voids: a later one that went
    back as far says all that an earlier one would."""
    found: list[RoomEpoch] = []
    for one in reversed(epochs):
        if not found or one.head_sequence < found[-1].head_sequence:
            found.append(one)
    return found[::-1]


def _shortened(room: RoomOfUser) -> RoomOfUser:
    return room if len(room.epochs) < 2 else room._replace(epochs=voiding(room.epochs))


def _size(room: RoomOfUser) -> int:
    return ROOM_BYTES + len(room.last_message or b"") + EPOCH_BYTES * len(room.epochs)


def _page(rooms: list[RoomOfUser], limit: int, share: int) -> tuple[list[RoomOfUser], bool]:
    """The first rooms within a share of the answer, never none, and whether there are more."""
    count, left = 0, share
    for room in rooms[:limit]:
        left -= _size(room)
        if left < 0 and count:
            break
        count += 1
    return rooms[:count], len(rooms) > count


def without_holes(asked: Range, stretch: Stretch) -> list[StoredEvent | Skip]:
    """Visible events with a skip for each stretch between them that the user may not see.

    A skip may be longer than the limit: it costs one entry. Nothing is said past the last sequence
    that was looked at.
    """
    entries: list[StoredEvent | Skip] = []
    last = asked.after_sequence
    for event in stretch.events:
        if event.sequence > last + 1:
            entries.append(Skip(last + 1, event.sequence - 1))
        entries.append(event)
        last = event.sequence
    hidden_to = _hidden_to(last, stretch)
    if len(stretch.events) < asked.limit and not stretch.cut and hidden_to > last:
        entries.append(Skip(last + 1, hidden_to))
    return entries


def _hidden_to(last: int, stretch: Stretch) -> int:
    """The last sequence of the hidden stretch that follows `last`."""
    nearest = min((max(span.low, last + 1) for span in stretch.spans if span.high > last), default=FOREVER)
    return min(nearest - 1, stretch.head_sequence)
