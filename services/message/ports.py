"""What the use cases need from the outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.message.domain import First, Member, Plan, Position, RequestKey, Room, Span, Unreadable

STRETCHES_BYTES = 2 * 1024 * 1024
"""Of events in one answer of `stretches`, shared by its ranges; each gives at least one event."""


class LogWriter(Protocol):
    """The log as the owner of partitions writes it. All raise BackendUnavailable."""

    async def claim(self, partitions: Sequence[int]) -> dict[int, Position]:
        """Makes the caller the owner: a new epoch for each, a row for a partition never seen."""
        ...

    async def positions(self, partitions: Sequence[int]) -> dict[int, Position]:
        """Where partitions stand now, whoever owns them."""
        ...

    async def load(
        self, rooms: Sequence[int], members: Sequence[Member]
    ) -> tuple[dict[int, Room], dict[Member, int]]:
        """Rooms that have a log, and the joined sequence of those who are members now."""
        ...

    async def known(self, keys: Sequence[RequestKey]) -> dict[RequestKey, First]:
        """Which of these requests were committed, and as what."""
        ...

    async def commit(self, plans: Sequence[Plan]) -> frozenset[int]:
        """Writes all plans in one transaction, or nothing when any fence fails.

        Gives the partitions whose fence held; the plans are written when that is all of them.
        Raises RequestKnown, RecordRefused, RoomLocked: nothing written; BackendUnavailable: not known.
        """
        ...

    async def restart(self, position: Position, next_offset: int) -> bool:
        """Goes on from another offset, which must be of the same partition; False when the fence failed."""
        ...


class StoredEvent(NamedTuple):
    """A committed event, still encoded."""

    sequence: int
    payload: bytes
    joined_user_id: int = 0
    left_user_id: int = 0


class StoredMessage(NamedTuple):
    """A message in its present state, still encoded."""

    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Up to `limit` items on one side of a sequence: the nearest, ascending."""

    edge: int
    forward: bool
    """True: after `edge`; False: before it."""
    limit: int


class Range(NamedTuple):
    """A part of a room's log; user 0 sees everything."""

    room_id: int
    after_sequence: int
    limit: int
    user_id: int


class Stretch(NamedTuple):
    """What the store found for one range: visible events in order, maybe fewer than asked for."""

    head_sequence: int
    spans: Sequence[Span]
    events: Sequence[StoredEvent]
    cut: bool
    """More events are there and were left out for their size."""


class RoomEpoch(NamedTuple):
    """Where a room's log stood in the backup that a restore went back to."""

    epoch: int
    head_sequence: int


class RoomOfUser(NamedTuple):
    """A room as one member sees it in a list; `last_message` is encoded."""

    room_id: int
    head_sequence: int
    read_sequence: int
    unread_count: int
    joined_sequence: int
    activity_millis: int
    last_message: bytes | None
    epochs: Sequence[RoomEpoch] = ()
    """The restores that the room has lived through, ascending."""


class RoomsAsked(NamedTuple):
    """Whose rooms, which of them, and from where on; zeros and None: from the start, all.

    `total` bounds the rooms of all users together; the users after it is reached get none.
    """

    user_ids: Sequence[int]
    limit: int
    total: int | None = None
    before_activity: int = 0
    before_room_id: int = 0
    with_last_message: bool = False
    room_ids: Sequence[int] | None = None


class Ended(NamedTuple):
    """A membership that is over: the sequences of its first and last event."""

    room_id: int
    joined_sequence: int
    left_sequence: int


class Sight(NamedTuple):
    """What a user may see of a room, ascending, and the head, both of one instant."""

    spans: Sequence[Span]
    head_sequence: int


class LogReader(Protocol):
    """The log as others read it. All raise BackendUnavailable."""

    async def sight(self, room_id: int, user_id: int) -> Sight:
        """What a user may see of a room; nothing when they never were in it."""
        ...

    async def events(self, room_id: int, spans: Sequence[Span], page: Page) -> list[StoredEvent]:
        """Visible events on one side of a sequence, ascending."""
        ...

    async def messages(self, room_id: int, spans: Sequence[Span], page: Page) -> list[StoredMessage]:
        """Visible messages on one side of a sequence, ascending."""
        ...

    async def message(self, room_id: int, message_id: int) -> StoredMessage | None:
        """One message."""
        ...

    async def stretches(self, ranges: Sequence[Range]) -> list[Stretch]:
        """One stretch per range, all of one instant."""
        ...

    async def user_rooms(self, asked: RoomsAsked) -> Mapping[int, list[RoomOfUser]]:
        """Rooms by user, the most recently active first, one more than the limit when there are more."""
        ...

    async def ended(self, user_ids: Sequence[int], limit: int) -> Mapping[int, list[Ended]]:
        """The memberships of each user that ended last and within a day, those of a room ascending."""
        ...

    async def log_epochs(self) -> list[int]:
        """Every restore that the log has behind it, ascending."""
        ...

    async def heads(self, room_ids: Sequence[int]) -> dict[int, int]:
        """Heads of the rooms that have a log."""
        ...

    async def known(self, keys: Sequence[RequestKey]) -> dict[RequestKey, First]:
        """Which of these requests were committed, and as what."""
        ...


class Standing(NamedTuple):
    """A member's receipt and the head of the room."""

    read_sequence: int
    head_sequence: int


class ReceiptStore(Protocol):
    """Who has read how far. All raise BackendUnavailable."""

    async def standing(self, room_id: int, user_id: int) -> Standing | None:
        """None when the user is not in the room now."""
        ...

    async def advance(self, room_id: int, user_id: int, sequence: int) -> int | None:
        """Moves a receipt forward, never back; gives where it is then, None when they are no member."""
        ...

    async def receipts(self, room_id: int, after_user_id: int, limit: int) -> list[tuple[int, int]]:
        """(user_id, read_sequence) of the members now, by user id."""
        ...


class Signals(Protocol):
    """Tells others of something that may be lost."""

    async def receipt_moved(self, room_id: int, user_id: int, read_sequence: int) -> None:
        """Says that a member has read on. Never fails."""
        ...


class DeadLetters(Protocol):
    """Copies dead letters to where people look."""

    def offer(self, letters: Iterable[Unreadable]) -> None:
        """Takes copies; never waits, never fails."""
        ...
