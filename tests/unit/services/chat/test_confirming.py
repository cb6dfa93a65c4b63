"""Outbox rows whose log was lost: what goes again, and what is known to be done."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest

from chassis.errors import BackendUnavailable
from services.chat import domain
from services.chat.confirming import ASK_SECONDS, LOST_SECONDS, Confirmer
from services.chat.domain import Change, Crowd, Room, RoomKind
from services.chat.ports import OutboxEntry, Outcome, RequestKey
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
        self.confirmer = Confirmer(self.store, self.log, on_lost=self.lost.append)

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


class AskedTooEarly:
    """What the log knew just before Bert came again."""

    def __init__(self, world: Losing) -> None:
        self._world = world
        self._first = True

    async def lookup(self, keys: Sequence[RequestKey]) -> list[Outcome]:
        """See ports.Messages."""
        found = await self._world.log.lookup(keys)
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
    """Bert comes back just after the confirmer has asked; the log ignores what it has, so his leaving would
    be the last word."""
    world = Losing()
    await world.begin()
    await world.bert("comes", lost=True)
    await world.bert("goes", lost=True)
    world.confirmer = Confirmer(world.store, AskedTooEarly(world), on_lost=world.lost.append)
    await world.sweep_after(LOST_SECONDS + 1)
    assert world.lost == [1]
    await world.sweep_after(ASK_SECONDS)
    assert await world.in_log()
    await world.sweep_after(ASK_SECONDS)
    assert (world.kept(), await world.in_log()) == (0, True)


async def test_lost_changes_that_ended_where_they_began_go_once_more() -> None:
    """The log has Bert out, as chat has: his leaving is read, changes nothing, and is done."""
    world = Losing()
    await world.begin()
    await world.bert("comes", lost=True)
    await world.bert("goes", lost=True)
    await world.sweep_after(LOST_SECONDS + 1)
    assert world.lost == [1]
    await world.sweep_after(ASK_SECONDS)
    assert (world.kept(), world.lost) == (0, [1])
    assert world.kinds(world.room_id) == ["member_joined"]


@pytest.mark.parametrize("inside", [False, True])
async def test_a_change_is_not_done_because_the_log_has_not_come_to_it(inside: bool) -> None:
    """Bert comes and goes, or goes and comes, while message lags behind Kafka: both tables agree about him.
    Then Kafka loses the second change, and the first one is committed."""
    world = Losing()
    await world.begin()
    if inside:
        await world.bert("comes")
        await world.sweep_after(ASK_SECONDS)
    world.log.hold = True
    for verb in ("goes", "comes") if inside else ("comes", "goes"):
        await world.bert(verb)
    await world.sweep_after(ASK_SECONDS)
    world.log.held.pop()
    world.log.release()
    assert await world.in_log() is not inside
    await world.sweep_after(LOST_SECONDS + 1)
    await world.sweep_after(ASK_SECONDS)
    assert (await world.in_log(), world.kept(), world.lost) == (inside, 0, [1])


async def test_a_lost_change_is_done_when_a_later_one_about_the_user_is_known() -> None:
    """Bert's leaving is lost, his coming back is read and changes nothing: the leaving must not follow it."""
    world = Losing()
    await world.begin()
    await world.bert("comes")
    await world.sweep_after(ASK_SECONDS)
    await world.bert("goes", lost=True)
    await world.bert("comes")
    await world.sweep_after(ASK_SECONDS)
    assert world.kept() == 0
    await world.sweep_after(LOST_SECONDS + 1)
    assert (await world.in_log(), world.lost) == (True, [])


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
