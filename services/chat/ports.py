"""What the use cases need from the outside, as protocols; adapters and in-memory twins fulfil them."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis.caller import Caller
from services.chat.domain import Change, Crowd, Membership, NewRoom, Room

Decide = Callable[[Room | None, Crowd], list[Change]]
"""A rule of the domain: from the locked room and its memberships to the changes, or a Failure.
Without a room it always raises."""

RoomMember = tuple[int, int]
"""(room id, user id)."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What is to be written into the room log; (room, sender, request key) names it for ever."""

    room_id: int
    sender_user_id: int
    request_key: bytes
    """16 bytes."""
    body_hash: bytes
    """16 bytes; another hash under the same name is a reuse."""
    event: bytes
    """Encoded, without sequence and create time."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as its sender wrote it."""

    room_id: int
    request_id: str
    request_key: bytes
    text: str
    reply_to_message_id: int = 0
    thread_root_message_id: int = 0
    mentioned_user_ids: tuple[int, ...] = ()


class Disposition(enum.Enum):
    """How a log entry ended."""

    COMMITTED = "committed"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a log entry, as message says."""

    correlation: int
    disposition: Disposition
    room_id: int
    sequence: int = 0
    message_id: int = 0
    create_micros: int = 0
    """Microseconds since 1970."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A row of the outbox: an entry that waits for its way into the log."""

    outbox_id: int
    entry: LogEntry
    reply_to: str
    correlation: int


@dataclass(frozen=True, slots=True)
class ProducedEntry:
    """A row of the outbox that Kafka has acknowledged."""

    row: OutboxEntry
    user_id: int
    """Whose membership it changes."""
    seconds: float
    """Since it was acknowledged."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes outbox rows: the instance that waits for the outcome, and where its numbers come from."""

    reply_to: str
    next_correlation: Callable[[], int]
    new_request_key: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Changed:
    """What a transaction left behind: the room, the memberships asked for, the rows it wrote."""

    room: Room
    memberships: Mapping[int, Membership]
    entries: Sequence[OutboxEntry] = ()


class RoomStore(Protocol):
    """Rooms, memberships and the outbox. Every method may raise BackendUnavailable."""

    async def create_room(
        self, new: NewRoom, user_id: int, request_key: bytes, body_hash: bytes, origin: Origin
    ) -> Changed | None:
        """Makes the room unless the user's request id made one before: then that room, without entries.

        None when the request id was used with another body.
        """

    async def open_direct_room(self, new: NewRoom, origin: Origin) -> Changed:
        """Makes the pair's room, or gives the one there is, without entries."""

    async def change(self, room_id: int, user_ids: Sequence[int], decide: Decide, origin: Origin) -> Changed:
        """Locks the room, asks `decide`, writes what it says in one transaction; raises what it raises."""

    async def room(self, room_id: int) -> Room | None:
        """The room."""

    async def rooms(self, room_ids: Sequence[int]) -> dict[int, Room]:
        """Those of the rooms that exist."""

    async def public_rooms(self, before_room_id: int, limit: int) -> list[Room]:
        """Public rooms that live, the newest first, with ids below `before_room_id`."""

    async def memberships(self, keys: Sequence[RoomMember]) -> dict[RoomMember, Membership]:
        """Those of the memberships that exist, in any state."""

    async def list_memberships(self, room_id: int, after_join_number: int, limit: int) -> list[Membership]:
        """Who is in the room, in the order they came, after `after_join_number`."""


Produce = Callable[[Sequence[OutboxEntry]], Awaitable[None]]
"""Returns when all entries are in the log, in their order."""


class Outbox(Protocol):
    """The outbox rows as the relay sees them. Every method may raise BackendUnavailable."""

    async def move(self, room_id: int, limit: int, produce: Produce) -> int:
        """Locks the oldest waiting rows of the room, awaits `produce`, then marks them; gives their number.

        When `produce` raises, or the process dies, the rows wait on and are produced again: a repeated
        record is one event (I2). Two relays of one room take turns, so the order is kept.
        """

    async def stale_rooms(self, seconds: float, limit: int) -> list[int]:
        """Rooms with waiting rows older than this, that somebody else should have moved."""

    async def depth(self) -> int:
        """How many rows wait to be produced."""


class KeptOutbox(Protocol):
    """The rows that were produced and are kept until the log shows it. May raise BackendUnavailable."""

    async def produced(self, seconds: float, limit: int) -> list[ProducedEntry]:
        """Rows that were produced at least so long ago and not confirmed since, the oldest first."""

    async def confirm(self, outbox_ids: Collection[int]) -> None:
        """Removes rows whose work is done."""

    async def produce_again(self, room_ids: Sequence[int]) -> int:
        """Makes the last row about each user of these rooms wait again, in the old order; gives their number.

        Produced rows before it are removed. The log ignores what it has committed: an older row that it has
        not would undo the last one.
        """


class Encoder(Protocol):
    """Turns what happened into log entries."""

    def message(self, draft: Draft, sender_user_id: int, message_id: int) -> LogEntry:
        """The entry of a new message."""


class RoomLog(Protocol):
    """The way into `room-log`."""

    def append(self, entry: LogEntry, correlation: int) -> None:
        """Takes an entry, in the order of calls per room. Raises Overloaded, InvalidField."""

    def settle(self, correlation: int, *, known: bool) -> bool:
        """Nobody waits for an entry any more; when its outcome is `known` it is not sent again.

        Gives whether it may be in the log more than once: a refusal is of one of its copies then, and
        the next may be accepted, as when its sender has come back in between.
        """


class Relay(Protocol):
    """Moves outbox rows into the log."""

    async def drain(self, room_id: int) -> None:
        """Returns when every row of the room that was committed before the call is in the log.

        Raises BackendUnavailable when it cannot be now; a sweep does it later.
        """


@dataclass(frozen=True, slots=True)
class RoomActivity:
    """A room as one member sees it in a list, by the log."""

    room_id: int
    head_sequence: int
    read_sequence: int
    unread_count: int
    activity: int
    last_message: object | None
    """Complete, as message gave it; passed on unread."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Asks what became of an entry."""

    entry: LogEntry
    correlation: int


class Messages(Protocol):
    """What chat asks the message service. Every method may raise a Failure."""

    async def list_rooms(
        self, user_id: int, *, limit: int, before: tuple[int, int]
    ) -> tuple[list[RoomActivity], bool]:
        """The user's rooms below (activity, room id), the most recently active first; and: there are more."""

    async def my_rooms(self, user_id: int, room_ids: Sequence[int]) -> dict[int, RoomActivity]:
        """Those of the rooms that the user is a member of by the log."""

    async def members_among(self, room_id: int, user_ids: Sequence[int]) -> set[int]:
        """Those of the users that are members of the room by the log."""

    async def heads(self, room_ids: Sequence[int]) -> dict[int, int]:
        """Last sequences of the rooms that have a log."""

    async def lookup(self, keys: Sequence[RequestKey]) -> list[Outcome]:
        """What became of entries; those not committed are left out."""


class Users(Protocol):
    """What chat asks the user service."""

    async def missing(self, caller: Caller, user_ids: Sequence[int]) -> list[int]:
        """Those of the users that do not exist. May raise a Failure."""


Clock = Callable[[], float]
"""Seconds that only rise."""
Now = Callable[[], datetime]
"""The time of day, UTC."""
