"""The nouns of the room log. No I/O, no wire format, no clock."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

FOREVER = 2**63 - 1
"""The end of a membership that has not ended."""


class RequestKey(NamedTuple):
    """Names one request for ever (I2); sender 0 is chat's outbox."""

    room_id: int
    sender_user_id: int
    request_id: bytes


class First(NamedTuple):
    """What a request became when it was committed."""

    body_hash: bytes
    sequence: int
    message_id: int
    create_millis: int


class Effect(enum.Enum):
    """What an event does beyond getting its sequence."""

    NONE = enum.auto()
    MESSAGE = enum.auto()
    JOIN = enum.auto()
    LEAVE = enum.auto()
    ARCHIVE = enum.auto()


class Sealed(NamedTuple):
    """An event as it is stored, and the message it makes (None for other events)."""

    event: bytes
    message: bytes | None


class Draft(Protocol):
    """An event that has no place yet; only its adapter knows the encoding."""

    def seal(self, sequence: int, create_millis: int, message_number: int) -> Sealed:
        """The finished event. Calling it again with another place is allowed."""
        ...


class Raw(NamedTuple):
    """A record as it came, for the dead letters."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(slots=True)
class Command:
    """A readable record of the log, waiting for its place."""

    partition: int
    offset: int
    raw: Raw
    key: RequestKey
    body_hash: bytes
    kind: int
    """Field number of the event's payload."""
    effect: Effect
    draft: Draft
    subject_user_id: int = 0
    """Who joins or leaves."""
    message_id: int = 0
    thread_root_message_id: int = 0
    reply_to: str = ""
    """The chat instance that waits; empty when none does."""
    correlation: int = 0


@dataclass(slots=True)
class Unreadable:
    """A record that cannot be an event: kept, counted, passed over."""

    partition: int
    offset: int
    raw: Raw
    reason: str


@dataclass(slots=True)
class Batch:
    """Records of one partition in the order of the log, and where the partition stands after them."""

    arrivals: Sequence[Command | Unreadable]
    next_offset: int
    anchor: bytes
    """Fingerprint of the last record, to recognise the log again."""


class Position(NamedTuple):
    """Where the owner of a partition stands."""

    partition: int
    owner_epoch: int
    next_offset: int
    anchor: bytes = b""
    commit_millis: int = 0
    """When the batch before was committed, as it was when this was read."""


class Room(NamedTuple):
    """What numbering needs to know of a room."""

    head_sequence: int = 0
    message_count: int = 0
    activity_millis: int = 0
    archived: bool = False


Member = tuple[int, int]
"""(room_id, user_id)"""


@dataclass(slots=True)
class View:
    """What is known of rooms and members; a member maps to their joined sequence, None when not in."""

    rooms: dict[int, Room] = field(default_factory=dict)
    members: dict[Member, int | None] = field(default_factory=dict)


class Entry(NamedTuple):
    """One event with its place, ready to be stored."""

    command: Command
    sequence: int
    message_number: int
    """Messages of the room up to and including this event."""
    create_millis: int
    sealed: Sealed


class Disposition(enum.Enum):
    """How a record ended."""

    COMMITTED = enum.auto()
    DUPLICATE = enum.auto()
    REJECTED = enum.auto()


class Outcome(NamedTuple):
    """What became of one record, for the chat instance that waits."""

    disposition: Disposition
    room_id: int
    sequence: int = 0
    message_id: int = 0
    create_millis: int = 0
    reason: str = ""
    reply_to: str = ""
    correlation: int = 0


class ReadMark(NamedTuple):
    """How far a member has read, as a sequence and as a count of messages."""

    sequence: int
    message_number: int


@dataclass(slots=True)
class Plan:
    """All that one transaction writes for one partition."""

    position: Position
    """What the fence must find."""
    next_offset: int
    anchor: bytes
    entries: list[Entry] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    rooms: dict[int, Room] = field(default_factory=dict)
    members: dict[Member, int | None] = field(default_factory=dict)
    memberships: dict[tuple[int, int, int], int | None] = field(default_factory=dict)
    """(room_id, user_id, joined_sequence) → left_sequence."""
    receipts: dict[Member, ReadMark] = field(default_factory=dict)
    changeless: dict[RequestKey, First] = field(default_factory=dict)
    """Changes of memberships that were so already: remembered, so that chat learns that they were read."""
    dead: list[Unreadable] = field(default_factory=list)
    unsure: bool = False
    """Something was refused that may be a repeat; ask the store for known requests and plan again."""


class Span(NamedTuple):
    """A stretch of a room that a user may see, both ends included."""

    low: int
    high: int = FOREVER


EVERYTHING = (Span(1),)


def is_member(spans: Sequence[Span]) -> bool:
    """Whether the last of a user's memberships goes on."""
    return bool(spans) and spans[-1].high == FOREVER
