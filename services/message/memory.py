"""The room log in dicts: the store's twin for tests, with the same fences, refusals and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from services.message.domain import (
    EVERYTHING,
    FOREVER,
    Effect,
    Entry,
    First,
    Member,
    Plan,
    Position,
    ReadMark,
    RequestKey,
    Room,
    Span,
    Unreadable,
    is_member,
)
from services.message.errors import RecordRefused, RequestKnown
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

T = TypeVar("T", StoredEvent, StoredMessage)


class MemoryLog:
    """LogWriter, LogReader and ReceiptStore on one set of dicts."""

    def __init__(self) -> None:
        self.log_position: dict[int, Position] = {}
        self.room_head: dict[int, Room] = {}
        self.room_event: dict[int, list[tuple[StoredEvent, int]]] = {}
        """By room, in order: the event, and the messages up to it."""
        self.request: dict[RequestKey, First] = {}
        self.message_rows: dict[tuple[int, int], StoredMessage] = {}
        self.membership: dict[tuple[int, int, int], int | None] = {}
        self.left: dict[int, list[Ended]] = {}
        """By user, as they ended."""
        self.room_epoch: dict[int, dict[int, int]] = {}
        """By epoch of a restore: the heads that the backup had."""
        self.receipt: dict[Member, ReadMark] = {}
        self.dead_letter: dict[tuple[int, int], Unreadable] = {}

    # Writing -----------------------------------------------------------------------------------

    async def claim(self, partitions: Sequence[int]) -> dict[int, Position]:
        for partition in partitions:
            old = self.log_position.get(partition, Position(partition, 0, 0))
            self.log_position[partition] = old._replace(owner_epoch=old.owner_epoch + 1)
        return await self.positions(partitions)

    async def positions(self, partitions: Sequence[int]) -> dict[int, Position]:
        return {p: self.log_position[p] for p in partitions if p in self.log_position}

    async def load(
        self, rooms: Sequence[int], members: Sequence[Member]
    ) -> tuple[dict[int, Room], dict[Member, int]]:
        joined = {
            (room_id, user_id): sequence
            for (room_id, user_id, sequence), left in self.membership.items()
            if left is None and (room_id, user_id) in members
        }
        return {room_id: self.room_head[room_id] for room_id in rooms if room_id in self.room_head}, joined

    async def known(self, keys: Sequence[RequestKey]) -> dict[RequestKey, First]:
        return {key: self.request[key] for key in keys if key in self.request}

    async def commit(self, plans: Sequence[Plan]) -> frozenset[int]:
        held = frozenset(
            plan.position.partition
            for plan in plans
            if self._stands(plan.position, self.log_position.get(plan.position.partition))
        )
        if len(held) == len(plans):
            for plan in plans:
                self._check(plan)
            for plan in plans:
                self._write(plan)
        return held

    async def restart(self, position: Position, next_offset: int) -> bool:
        stands = self._stands(position, self.log_position.get(position.partition))
        if stands:
            self.log_position[position.partition] = position._replace(next_offset=next_offset, anchor=b"")
        return stands

    def _stands(self, mine: Position, now: Position | None) -> bool:
        return now is not None and now[:3] == mine[:3]

    def _check(self, plan: Plan) -> None:
        if self.request.keys() & plan.changeless.keys():
            raise RequestKnown
        seen: set[tuple[int, int]] = set()
        for entry in plan.entries:
            if entry.command.key in self.request:
                raise RequestKnown
            message = (entry.command.key.room_id, entry.command.message_id)
            if entry.sealed.message is not None and (message in self.message_rows or message in seen):
                raise RecordRefused("message_pkey")
            seen.add(message)

    def _write(self, plan: Plan) -> None:
        partition, epoch = plan.position[:2]
        now = max((entry.create_millis for entry in plan.entries), default=plan.position.commit_millis)
        self.log_position[partition] = Position(partition, epoch, plan.next_offset, plan.anchor, now)
        for entry in plan.entries:
            self._write_entry(entry)
        self.request.update(plan.changeless)
        self.room_head.update(plan.rooms)
        self.membership.update(plan.memberships)
        for (room_id, user_id, joined), left in plan.memberships.items():
            if left is not None:
                self.left.setdefault(user_id, []).append(Ended(room_id, joined, left))
        for member, mark in plan.receipts.items():
            if mark.sequence > self.receipt.get(member, ReadMark(0, 0)).sequence:
                self.receipt[member] = mark
        for letter in plan.dead:
            self.dead_letter[(letter.partition, letter.offset)] = letter

    def _write_entry(self, entry: Entry) -> None:
        command = entry.command
        room_id = command.key.room_id
        event = StoredEvent(
            entry.sequence,
            entry.sealed.event,
            command.subject_user_id if command.effect is Effect.JOIN else 0,
            command.subject_user_id if command.effect is Effect.LEAVE else 0,
        )
        self.room_event.setdefault(room_id, []).append((event, entry.message_number))
        self.request[command.key] = First(
            command.body_hash, entry.sequence, command.message_id, entry.create_millis
        )
        if entry.sealed.message is not None:
            stored = StoredMessage(entry.sequence, entry.sealed.message)
            self.message_rows[(room_id, command.message_id)] = stored

    # Reading -----------------------------------------------------------------------------------

    async def sight(self, room_id: int, user_id: int) -> Sight:
        spans = self._spans(room_id, user_id)
        return Sight(spans, self.room_head[room_id].head_sequence if spans else 0)

    def _spans(self, room_id: int, user_id: int) -> Sequence[Span]:
        return [
            Span(joined, left or FOREVER)
            for (room, user, joined), left in sorted(self.membership.items(), key=lambda item: item[0])
            if (room, user) == (room_id, user_id)
        ]

    async def events(self, room_id: int, spans: Sequence[Span], page: Page) -> list[StoredEvent]:
        found = [event for event, _ in self.room_event.get(room_id, []) if _visible(event.sequence, spans)]
        return [StoredEvent(*event[:2]) for event in _cut(found, page)]

    async def messages(self, room_id: int, spans: Sequence[Span], page: Page) -> list[StoredMessage]:
        found = [
            message
            for (room, _), message in self.message_rows.items()
            if room == room_id and _visible(message.sequence, spans)
        ]
        return _cut(sorted(found), page)

    async def message(self, room_id: int, message_id: int) -> StoredMessage | None:
        return self.message_rows.get((room_id, message_id))

    async def stretches(self, ranges: Sequence[Range]) -> list[Stretch]:
        return [await self._stretch(asked, STRETCHES_BYTES // len(ranges)) for asked in ranges]

    async def _stretch(self, asked: Range, budget: int) -> Stretch:
        spans = self._spans(asked.room_id, asked.user_id) if asked.user_id else EVERYTHING
        visible = [
            event
            for event, _ in self.room_event.get(asked.room_id, [])
            if event.sequence > asked.after_sequence and _visible(event.sequence, spans)
        ][: asked.limit]
        taken: list[StoredEvent] = []
        size = 0
        for event in visible:
            size += len(event.payload)
            if taken and size > budget:
                break
            taken.append(event)
        head = self.room_head.get(asked.room_id, Room()).head_sequence
        return Stretch(head, spans, taken, len(taken) < len(visible))

    async def user_rooms(self, asked: RoomsAsked) -> Mapping[int, list[RoomOfUser]]:
        left = FOREVER if asked.total is None else asked.total
        found: dict[int, list[RoomOfUser]] = {}
        for user_id in asked.user_ids:
            rooms = (await self._rooms(user_id, asked))[:left]
            left -= len(rooms)
            if rooms:
                found[user_id] = rooms
        return found

    async def _rooms(self, user_id: int, asked: RoomsAsked) -> list[RoomOfUser]:
        before = (asked.before_activity, asked.before_room_id)
        rooms = [
            await self._room(room_id, user_id, joined, asked.with_last_message)
            for (room_id, user, joined), left in self.membership.items()
            if user == user_id and left is None and (asked.room_ids is None or room_id in asked.room_ids)
        ]
        rooms.sort(key=_recency, reverse=True)
        if asked.before_activity:
            rooms = [room for room in rooms if _recency(room) < before]
        return rooms[: asked.limit + 1]

    async def _room(self, room_id: int, user_id: int, joined: int, with_message: bool) -> RoomOfUser:
        head, mark = self.room_head[room_id], self.receipt[(room_id, user_id)]
        newest = Page(FOREVER, False, 1)
        spans = self._spans(room_id, user_id)
        last = await self.messages(room_id, spans, newest) if with_message else []
        return RoomOfUser(
            room_id,
            head.head_sequence,
            mark.sequence,
            head.message_count - mark.message_number,
            joined,
            head.activity_millis,
            last[0].payload if last else None,
            [RoomEpoch(one, heads[room_id]) for one, heads in self._epochs() if room_id in heads],
        )

    def _epochs(self) -> list[tuple[int, dict[int, int]]]:
        return sorted(self.room_epoch.items())

    async def ended(self, user_ids: Sequence[int], limit: int) -> Mapping[int, list[Ended]]:
        last = {user_id: self.left[user_id][-limit:] for user_id in user_ids if user_id in self.left}
        return {user_id: sorted(ended, key=lambda one: one.left_sequence) for user_id, ended in last.items()}

    async def log_epochs(self) -> list[int]:
        return [epoch for epoch, _ in self._epochs()]

    async def heads(self, room_ids: Sequence[int]) -> dict[int, int]:
        return {r: self.room_head[r].head_sequence for r in room_ids if r in self.room_head}

    # Receipts ----------------------------------------------------------------------------------

    async def standing(self, room_id: int, user_id: int) -> Standing | None:
        if not is_member(self._spans(room_id, user_id)):
            return None
        return Standing(self.receipt[(room_id, user_id)].sequence, self.room_head[room_id].head_sequence)

    async def advance(self, room_id: int, user_id: int, sequence: int) -> int | None:
        standing = await self.standing(room_id, user_id)
        if standing is None:
            return None
        if standing.read_sequence < sequence <= standing.head_sequence:
            _, number = self.room_event[room_id][sequence - 1]
            self.receipt[(room_id, user_id)] = ReadMark(sequence, number)
        return self.receipt[(room_id, user_id)].sequence

    async def receipts(self, room_id: int, after_user_id: int, limit: int) -> list[tuple[int, int]]:
        members = sorted(
            user
            for (room, user, _), left in self.membership.items()
            if room == room_id and left is None and user > after_user_id
        )
        return [(user, self.receipt[(room_id, user)].sequence) for user in members[:limit]]


def _visible(sequence: int, spans: Sequence[Span]) -> bool:
    return any(span.low <= sequence <= span.high for span in spans)


def _recency(room: RoomOfUser) -> tuple[int, int]:
    return room.activity_millis, room.room_id


def _cut(found: Sequence[T], page: Page) -> list[T]:
    if page.forward:
        return [item for item in found if item.sequence > page.edge][: page.limit]
    return [item for item in found if item.sequence < page.edge][-page.limit :]
