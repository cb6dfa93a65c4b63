"""Chat and edge together: whatever is lost, late or slow between them, each is shown all it may see, once,
in order, and nothing of others (I4, I5); and nothing is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random

import pytest
from polychat.internal.log.v1.record_pb2 import EventRecord

from tests.support.edge_behind_chat import EdgeBehindChat, edge_behind_chat
from tests.support.edge_small import settle, shrunk

ROOMS = (7, 8)
USERS = (1, 2, 3)
MOST_CONNECTIONS = 7
SHORTEST, LONGEST = 10, 60
"""Steps of a story."""
MOST_ROUNDS = 60
"""Until everything is mended and everybody has everything; each reads lists once at most."""
SHORT, LONG = "x", "x" * 150
LATE = 0.3
"""Of all hints; those of a story that are lost are beside them."""
FAVOURITE = 0.6
"""Of all that happens, happens to one user in one room."""
BLOCKS, STORIES = 2, 60
"""Of each kind."""
LONG_BLOCKS = [pytest.param(block, marks=pytest.mark.long) for block in range(BLOCKS, 60)]
FAILED_ONCE = (
    *(382, 1401, 2782, 10371, 10698, 19995, 26239, 31997, 33334, 34000, 52674, 93462, 120485),
    *(696, 6750, 10228, 10925, 11094, 11837, 11904, 11907, 33687, 44770, 46931, 55383),
)
"""Stories that found something, of one kind or the other."""


class Story:
    """Things that happen, as chance has it, to three users in two rooms."""

    def __init__(self, world: EdgeBehindChat, chance: Random, *, lagging: bool, leaving: bool) -> None:
        self.world = world
        self.chance = chance
        self.lagging = lagging
        self.lost = chance.choice((0.1, 0.5, 0.8))
        self.late: list[EventRecord] = []
        """Hints that are under way."""
        self.favourite = (chance.choice(ROOMS), chance.choice(USERS))
        """Much happens to one user in one room: what is lost of them meets what is late."""
        self.steps = {
            self.say: 40 if lagging else 10,
            self.move: 40,
            self.hear_late: 12,
            self.flow: 6,
            self.doubt: 4,
            self.repair: 8,
            self.connect: 5,
            self.reconnect: 5,
            self.renew: 1,
            self.take: 4,
            self.wait: 14,
            self.disconnect: 8 if leaving else 0,
        }

    async def begin(self) -> None:
        """Everybody is connected and was in both rooms; user 1 still is."""
        for room in ROOMS:
            for user in USERS:
                self.world.commit(room, user, SHORT, moves=True)
        for user in USERS:
            self.world.connect(user)
        self.world.flow.set()
        await settle()
        for room in ROOMS:
            for user in USERS[1:]:
                self.world.chat.hub.pass_events([self.world.commit(room, user, SHORT, moves=True)])
        await settle()
        self.world.flow.clear()

    async def step(self) -> None:
        """One thing happens."""
        (does,) = self.chance.choices(list(self.steps), list(self.steps.values()))
        await does()
        if not self.lagging:
            await self.take_all()

    async def say(self) -> None:
        """Somebody says something."""
        self._commit(moves=False)

    async def move(self) -> None:
        """Somebody comes or leaves."""
        self._commit(moves=True)

    def _commit(self, *, moves: bool) -> None:
        anywhere = (self.chance.choice(ROOMS), self.chance.choice(USERS))
        room, user = self.favourite if self.chance.random() < FAVOURITE else anywhere
        text = LONG if self.lagging else SHORT
        record = self.world.commit(room, user, text, moves=moves)
        fate = self.chance.random()
        if fate >= self.lost + LATE:
            self.world.chat.hub.pass_events([record, record] if moves else [record])
        elif fate >= self.lost:
            self.late.append(record)

    async def hear_late(self) -> None:
        """One of the hints that are under way comes."""
        if self.late:
            record = self.late.pop(self.chance.randrange(len(self.late)))
            self.world.chat.hub.pass_events([record])

    async def flow(self) -> None:
        """The edge takes what is on the link."""
        self.world.flow.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.world.flow.clear()

    async def doubt(self) -> None:
        """Chat notices that hints may be lost."""
        self.world.chat.doubt()
        self.world.repair()

    async def repair(self) -> None:
        """Chat looks for what is in doubt."""
        self.world.repair()

    async def connect(self) -> None:
        """One client more."""
        if self.world.count < MOST_CONNECTIONS:
            self.world.connect(self.chance.choice(USERS))

    async def reconnect(self) -> None:
        """A client loses its connection and comes back."""
        if self.world.peers:
            self.world.reconnect(self.chance.choice(list(self.world.peers)))

    async def disconnect(self) -> None:
        """A client goes for good; of several of a user the first one, by which the edge asks chat."""
        if self.world.peers:
            one = self.world.peers[self.chance.choice(list(self.world.peers))]
            self.world.disconnect(min(n for n, p in self.world.peers.items() if p.user_id == one.user_id))

    async def renew(self) -> None:
        """The chat instance is another one, to which hints come from now on."""
        self.late.clear()
        self.world.renew()

    async def take(self) -> None:
        """A slow reader takes a little."""
        if self.world.peers:
            await self.chance.choice(list(self.world.peers.values())).take(self.chance.randrange(20))

    async def wait(self) -> None:
        """Nothing happens for a while."""
        for _ in range(self.chance.randrange(1, 12)):
            await asyncio.sleep(0)

    async def take_all(self) -> None:
        """Everybody takes what there is."""
        for peer in self.world.peers.values():
            await peer.take(1000)

    async def end(self) -> None:
        """Chat hears that hints may be lost; when all is mended, everybody gets what happens then."""
        self.world.flow.set()
        self.world.chat.doubt()
        await self.mend()
        assert self.owed() == {}
        for room in ROOMS:
            self.world.chat.hub.pass_events([self.world.commit(room, 1, SHORT)])
        await self.mend()
        assert self.owed() == {}

    async def mend(self) -> None:
        """Everybody takes and chat repairs, until nobody asks for anything any more."""
        for _ in range(MOST_ROUNDS):
            before = self.world.log.lists
            await self.world.chat.mend()
            await settle()
            unsent = any(peer.wire.unsent for peer in self.world.peers.values())
            await self.take_all()
            if not unsent and self.world.log.lists == before:
                return
        raise AssertionError("chat is asked for ever")

    def owed(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """By user and connection, what it was not shown."""
        owed = {(peer.user_id, number): peer.told.owed() for number, peer in self.world.peers.items()}
        return {who: events for who, events in owed.items() if events}

    def left_over(self) -> list[str]:
        """Rooms that nobody is in, peers that wait though there is nothing to wait for."""
        fanout, resumer = self.world.edge.fanout, self.world.edge.resumer
        members = {
            room_id: sum(room_id in user.rooms for user in fanout.users.values()) for room_id in fanout.rooms
        }
        found = []
        for room_id, room in fanout.rooms.items():
            if room.users != members[room_id]:
                found.append(f"room {room_id} counts {room.users} users and has {members[room_id]}")
            if not room.users and not room.log.missing:
                found.append(f"room {room_id} is nobody's")
            if room.waiting:
                found.append(f"{len(room.waiting)} peers wait in room {room_id}")
            if any(resumer.is_behind(peer.wire, room) for peer in self.world.peers.values()):
                found.append(f"room {room_id} is replayed")
        return found


async def play(seed: int, *, lagging: bool, leaving: bool = False) -> None:
    """One story, from its beginning to its end."""
    chance = Random(2 * seed + lagging)
    async with edge_behind_chat(chance) as world:
        story = Story(world, chance, lagging=lagging, leaving=leaving)
        await story.begin()
        for _ in range(chance.randrange(SHORTEST, LONGEST)):
            await story.step()
        await story.end()
        assert story.left_over() == []


def replay(seed: int, *, lagging: bool, leaving: bool = False) -> None:
    """Plays one story again."""
    with shrunk():
        asyncio.run(play(seed, lagging=lagging, leaving=leaving))


async def failure(seed: int, *, lagging: bool, leaving: bool = False) -> BaseException | None:
    """How a story fails, if it does."""
    task = asyncio.create_task(play(seed, lagging=lagging, leaving=leaving))
    await asyncio.wait((task,))
    return task.exception()


async def played(seeds: Iterable[int], *, lagging: bool, leaving: bool = False) -> None:
    """Plays stories; says which of them fail."""
    failed = []
    with shrunk():
        for seed in seeds:
            why = await failure(seed, lagging=lagging, leaving=leaving)
            failed += [f"replay({seed}, {lagging=}, {leaving=}): {why!r}"] if why is not None else []
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("leaving", [False, True])
@pytest.mark.parametrize("lagging", [False, True])
@pytest.mark.parametrize("block", [*range(BLOCKS), *LONG_BLOCKS])
async def test_every_view_is_complete_and_exact(block: int, *, lagging: bool, leaving: bool) -> None:
    """Hints are lost, doubled and late, lists slow, chat renewed; clients come, go and read as they like.

    One story alone: `.venv/bin/python -c "from tests.unit.edge.test_behind_chat import replay; replay(...)"`.
    """
    await played(range(block * STORIES, (block + 1) * STORIES), lagging=lagging, leaving=leaving)


@pytest.mark.parametrize("lagging", [False, True])
async def test_stories_that_failed_once(*, lagging: bool) -> None:
    await played(FAILED_ONCE, lagging=lagging)
