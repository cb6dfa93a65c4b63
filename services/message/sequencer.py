"""The sequencer's state machine: records in, a transaction's content out. No I/O, no clock.

`plan` walks the records of one partition in offset order and decides each one's end with what is
known of rooms and members, updating that knowledge as it goes, so that a message sent after its
sender left in the same batch is refused like any other. It never changes what it was given.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.message.domain import (
    Batch,
    Command,
    Disposition,
    Effect,
    Entry,
    First,
    Member,
    Outcome,
    Plan,
    Position,
    ReadMark,
    RequestKey,
    Room,
    Unreadable,
    View,
)

NOT_A_MEMBER = "NOT_A_MEMBER"
ROOM_ARCHIVED = "ROOM_ARCHIVED"
REQUEST_ID_REUSED = "REQUEST_ID_REUSED"


def plan(
    position: Position,
    batch: Batch,
    view: View,
    known: Mapping[RequestKey, First] | None,
    now_millis: int,
) -> Plan:
    """Decides the end of every record of a batch.

    `known` holds the requests of the batch that were committed before; None when the store was not
    asked, and then a refusal makes the plan `unsure`: a repeat gets its first result, whatever has
    changed since. KeyError when `view` lacks a room or a sender of the batch.
    """
    return _Planner(position, batch, view, known, now_millis).run()


class _Planner:
    """One walk over one batch."""

    def __init__(
        self,
        position: Position,
        batch: Batch,
        view: View,
        known: Mapping[RequestKey, First] | None,
        now_millis: int,
    ) -> None:
        self._view = view
        self._known = known
        self._now = now_millis
        self._fresh: dict[RequestKey, First] = {}
        self._arrivals = batch.arrivals
        self._plan = Plan(position, batch.next_offset, batch.anchor)

    def run(self) -> Plan:
        """Walks the records in the order of the log."""
        for arrival in self._arrivals:
            if isinstance(arrival, Unreadable):
                self._plan.dead.append(arrival)
            else:
                self._plan.outcomes.append(self._decide(arrival))
        return self._plan

    def _decide(self, command: Command) -> Outcome:
        first = self._first(command.key)
        if first is not None:
            return _repeat(command, first)
        room = self._room(command.key.room_id)
        joined = self._joined(command)
        if self._changes_nothing(command, joined):
            self._doubt()
            return self._remember(command, room.head_sequence if joined is None else joined)
        reason = self._objection(command, room, joined)
        if reason is not None:
            self._doubt()
            return _outcome(command, Disposition.REJECTED, reason=reason)
        return self._accept(command, room, joined)

    def _objection(self, command: Command, room: Room, joined: int | None) -> str | None:
        """Why a command is not allowed at its place, None when it is."""
        if command.key.sender_user_id == 0:
            return None
        if joined is None:
            return NOT_A_MEMBER
        return ROOM_ARCHIVED if room.archived else None

    def _accept(self, command: Command, room: Room, joined: int | None) -> Outcome:
        room_id = command.key.room_id
        is_message = command.effect is Effect.MESSAGE
        after = Room(
            head_sequence=room.head_sequence + 1,
            message_count=room.message_count + is_message,
            activity_millis=max(room.activity_millis, self._now),
            archived=room.archived or command.effect is Effect.ARCHIVE,
        )
        sequence, number, millis = after.head_sequence, after.message_count, after.activity_millis
        sealed = command.draft.seal(sequence, millis, number)
        self._plan.rooms[room_id] = after
        self._plan.entries.append(Entry(command, sequence, number, millis, sealed))
        self._fresh[command.key] = First(command.body_hash, sequence, command.message_id, millis)
        self._affect(command, joined, ReadMark(sequence, number))
        return _outcome(
            command,
            Disposition.COMMITTED,
            sequence=sequence,
            message_id=command.message_id,
            create_millis=millis,
        )

    def _affect(self, command: Command, joined: int | None, mark: ReadMark) -> None:
        """What the event does to memberships and receipts."""
        member: Member = (command.key.room_id, command.subject_user_id)
        if command.effect is Effect.JOIN:
            self._plan.members[member] = mark.sequence
            self._plan.memberships[(*member, mark.sequence)] = None
            self._plan.receipts[member] = mark
        elif command.effect is Effect.LEAVE and joined is not None:
            self._plan.members[member] = None
            self._plan.memberships[(*member, joined)] = mark.sequence
        elif command.effect is Effect.MESSAGE:
            self._plan.receipts[(command.key.room_id, command.key.sender_user_id)] = mark

    def _changes_nothing(self, command: Command, joined: int | None) -> bool:
        """Chat has somebody come who is in, or go who is not: so it is already."""
        if command.effect is Effect.JOIN:
            return joined is not None
        return command.effect is Effect.LEAVE and joined is None and command.key.sender_user_id == 0

    def _remember(self, command: Command, sequence: int) -> Outcome:
        first = First(command.body_hash, sequence, 0, self._now)
        self._plan.changeless[command.key] = self._fresh[command.key] = first
        return _repeat(command, first)

    def _first(self, key: RequestKey) -> First | None:
        return self._fresh.get(key) or (self._known or {}).get(key)

    def _room(self, room_id: int) -> Room:
        return self._plan.rooms.get(room_id) or self._view.rooms[room_id]

    def _joined(self, command: Command) -> int | None:
        member = standing_of(command)
        if member is None:
            return None
        if member in self._plan.members:
            return self._plan.members[member]
        return self._view.members[member]

    def _doubt(self) -> None:
        if self._known is None:
            self._plan.unsure = True


def standing_of(command: Command) -> Member | None:
    """Whose membership decides about a command; None when nobody's does."""
    if command.effect in (Effect.JOIN, Effect.LEAVE):
        return command.key.room_id, command.subject_user_id
    if command.key.sender_user_id:
        return command.key.room_id, command.key.sender_user_id
    return None


def repeat_of(key: RequestKey, body_hash: bytes, first: First) -> Outcome:
    """The answer to a request that was committed before."""
    if body_hash != first.body_hash:
        return Outcome(Disposition.REJECTED, key.room_id, reason=REQUEST_ID_REUSED)
    return Outcome(Disposition.DUPLICATE, key.room_id, first.sequence, first.message_id, first.create_millis)


def _repeat(command: Command, first: First) -> Outcome:
    outcome = repeat_of(command.key, command.body_hash, first)
    return outcome._replace(reply_to=command.reply_to, correlation=command.correlation)


def _outcome(
    command: Command,
    disposition: Disposition,
    *,
    sequence: int = 0,
    message_id: int = 0,
    create_millis: int = 0,
    reason: str = "",
) -> Outcome:
    return Outcome(
        disposition,
        command.key.room_id,
        sequence,
        message_id,
        create_millis,
        reason,
        command.reply_to,
        command.correlation,
    )
