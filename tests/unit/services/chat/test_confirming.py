"""Outbox rows whose log was lost: what goes again, and what is known to be done."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import pytest

from chassis.errors import BackendUnavailable
from services.chat import domain
from services.chat.confirming import ASK_SECONDS, LOST_SECONDS, Confirmer
from services.chat.domain import Change, Crowd, Membership, Room, RoomKind
from services.chat.ports import OutboxEntry, RoomMember
from tests.support.chat_world import World, caller

ANNA, BERT = 1, 2


class Losing(World):
    """A chat with a room of Anna's, whose log may forget what it has acknowledged."""

    room_id: int

    def __init__(self) -> None:
        super().__init__()
        self.losing = False
        self.relay._append = self._append
        self.lost: list[int] = []
        self.confirmer = Confirmer(self.store, self.store, self.log, on_lost=self.lost.append)

    async def _append(self, rows: Sequence[OutboxEntry]) -> None:
        if not self.losing:
            await self.log.append_all(rows)

    async def begin(self) -> None:
        """Makes the room; its row is confirmed."""
        room = await self.rooms.create(caller(ANNA), uuid.uuid4().bytes, "Team", RoomKind.GROUP)
        self.room_id = room.room_id
        await self.sweep_after(ASK_SECONDS)
        assert self.kept() == 0

    async def bert(self, verb: str, *, lost: bool = False) -> None:
        """Bert comes or goes, and the log acknowledges it."""

        def decide(room: Room | None, crowd: Crowd) -> list[Change]:
            if verb == "comes":
                return domain.add_members(room, crowd, self.room_id, ANNA, [BERT], self.time.today())
            return domain.remove_member(room, crowd, self.room_id, ANNA, BERT)

        await self.store.change(self.room_id, [ANNA, BERT], decide, self.changes.origin)
        self.losing = lost
        await self.relay.drain(self.room_id)
        self.losing = False

    async def sweep_after(self, seconds: float) -> None:
        """Time passes, then the confirmer and the relay look."""
        self.time.now += seconds
        await self.confirmer.sweep()
        await self.relay.sweep()

    def kept(self) -> int:
        """Rows that are neither done nor waiting."""
        return len(self.store._produced)

    async def in_log(self) -> bool:
        """Whether the log has Bert in the room."""
        return await self.log.members_among(self.room_id, [BERT]) == {BERT}


class ReadTooEarly:
    """Memberships as they were just before Bert came again."""

    def __init__(self, world: Losing) -> None:
        self._world = world
        self._first = True

    async def memberships(self, keys: Sequence[RoomMember]) -> Mapping[RoomMember, Membership]:
        """See ports.RoomStore."""
        found = await self._world.store.memberships(keys)
        if self._first:
            self._first = False
            await self._world.bert("comes")
        return found


async def test_rows_that_the_log_knows_are_removed() -> None:
    """After the time that a commit takes, not before."""
    world = Losing()
    await world.begin()
    await world.bert("comes")
    await world.sweep_after(ASK_SECONDS - 1)
    assert world.kept() == 1
    await world.sweep_after(1)
    assert (world.kept(), world.lost) == (0, [])


async def test_a_change_that_was_lost_goes_again_until_the_log_shows_it() -> None:
    """A removed member must not stay one in the log for ever (I5)."""
    world = Losing()
    await world.begin()
    await world.bert("comes")
    await world.sweep_after(ASK_SECONDS)
    await world.bert("goes", lost=True)
    await world.sweep_after(LOST_SECONDS - 1)
    assert await world.in_log()
    await world.sweep_after(2)
    assert (await world.in_log(), world.lost) == (False, [1])
    await world.sweep_after(ASK_SECONDS)
    assert world.kept() == 0
    assert world.kinds(world.room_id) == ["member_joined", "member_joined", "member_left"]


async def test_of_lost_changes_of_a_user_only_the_last_goes_again() -> None:
    """Came, went, came, of which the log has nothing: the last word counts."""
    world = Losing()
    await world.begin()
    await world.bert("comes", lost=True)
    await world.bert("goes", lost=True)
    await world.bert("comes", lost=True)
    await world.sweep_after(LOST_SECONDS + 1)
    assert world.lost == [1]
    assert world.kinds(world.room_id)[1:] == ["member_joined"]
    await world.sweep_after(ASK_SECONDS)
    assert (world.kept(), await world.in_log()) == (0, True)


async def test_a_lost_leaving_does_not_go_again_after_a_new_joining() -> None:
    """Bert comes back just after the confirmer has read that he is out; the log ignores what it has, so his
    leaving would be the last word."""
    world = Losing()
    await world.begin()
    await world.bert("comes", lost=True)
    await world.bert("goes", lost=True)
    world.confirmer = Confirmer(world.store, ReadTooEarly(world), world.log, on_lost=world.lost.append)
    await world.sweep_after(LOST_SECONDS + 1)
    assert world.lost == [1]
    await world.sweep_after(ASK_SECONDS)
    assert await world.in_log()
    await world.sweep_after(ASK_SECONDS)
    assert (world.kept(), await world.in_log()) == (0, True)


async def test_lost_changes_that_ended_where_they_began_are_done() -> None:
    """The log has Bert out, as chat has: there is nothing to tell."""
    world = Losing()
    await world.begin()
    await world.bert("comes", lost=True)
    await world.bert("goes", lost=True)
    await world.sweep_after(LOST_SECONDS + 1)
    assert (world.kept(), world.lost) == (0, [])
    assert world.kinds(world.room_id) == ["member_joined"]


async def test_nothing_is_concluded_while_message_is_away() -> None:
    """Rows are kept, none goes again, whatever the time."""
    world = Losing()
    await world.begin()
    await world.bert("comes", lost=True)
    world.time.now += 1000
    world.log.away = True
    with pytest.raises(BackendUnavailable):
        await world.confirmer.sweep()
    assert (world.kept(), world.lost) == (1, [])
    world.log.away = False
    await world.sweep_after(0)
    assert await world.in_log()
