"""What is written down: a client's records, the store's events, and what is found wrong with them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a record says."""

    INVOKE = "a send begins, with its body"
    OK = "it was answered `sent`"
    FAIL = "it was refused: it must never appear, unless it was UNKNOWN before"
    UNKNOWN = "an attempt ended without a definite answer: it may be stored, whatever a later one is told"
    PUT_OFF = "an attempt was refused for now and was not stored: what was sent behind it may be"
    AGAIN = "the next attempt of a send begins"
    RESUME = "a connection begins after this sequence"
    RECEIVE = "an event arrived"
    SKIP = "events up to `to_sequence` are not for this client"
    GAP = "too much was missed: the client pages the rest, which it records as received"
    RESET = "the client is told to forget the room; it begins again after this sequence"
    READING = "the client says that it has read up to this sequence: from now on it may count"
    READ = "the client's own receipt was accepted: it has read up to this sequence"
    DENIED = "the client's own receipt was refused for the reason in `body`"
    STATE = "the server's count: read up to `sequence`, the head is `to_sequence`, `unread` between them"
    LISTED = "the same count, in the list of rooms"
    RECEIPT = "it is shown that user `subject` has read up to this sequence"
    TYPING = "it is shown that user `subject` is typing"
    JOINED = "the client's user was made a member: what comes of it is due on a connection that lasts"
    LOST = "no connection of the client from before this lasts any more, of whichever room"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a client's history. Times are monotonic and common to all clients (seconds)."""

    client: str
    user: int
    time: float
    kind: Kind
    room: int
    sequence: int = 0
    to_sequence: int = 0
    request_id: str = ""
    message_id: int = 0
    body: str | None = None
    """Of a message that is sent or received; None: not noted."""
    unread: int = 0
    subject: int = 0
    began: float = 0.0
    """Of READ, STATE and LISTED: when it was asked for."""
    shown: Stored | None = None
    """Of RECEIVE: all of the event; None: not noted."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One event of a room's log as the store gives it; `request_id` is empty for what is no message."""

    sequence: int
    request_id: str = ""
    message_id: int = 0
    sender: int = 0
    body: str = ""
    number: int | None = None
    """The `message_number`, 0 where there is none; None: not noted."""


Logs = Mapping[int, Sequence[Stored]]
"""Room → its events in the order of the store."""
Memberships = Mapping[tuple[int, int], Sequence[tuple[int, int | None]]]
"""(room, user) → intervals of sequences, both ends included; None: still a member."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise, and the records that show it."""

    promise: str
    text: str
    records: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"{self.promise}: {self.text}" + "".join(f"\n    {record}" for record in self.records)
