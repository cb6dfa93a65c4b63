"""One run: a seed decides who does what, what breaks when, and in which order all steps happen."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.client import Person
from tests.simulation.limits import ABSENCES, SLOW_READERS, SLOW_SECONDS
from tests.simulation.world import World

BUSY_SECONDS = (3.0, 9.0)
"""How long people act and things break, in virtual seconds."""
SETTLE_SECONDS = 60.0
"""Within this after the last fault every answer is there and every client has everything."""
HEARD_SECONDS = 10.0
"""Within this a member who sends, when nothing is broken any more, is answered `sent`."""
Words = tuple[int, str, str]
"""Room, text and request id."""
USERS = (1, 2, 3, 4)


@dataclass
class Counts:
    """What happened in a run, beside the faults of single messages."""

    sends: int = 0
    faults: dict[str, int] = field(default_factory=dict)

    def fault(self, name: str) -> None:
        """One more."""
        self.faults[name] = self.faults.get(name, 0) + 1


class Scenario:
    """The people's side: who sends, joins and reads."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = random.Random(world.loop.random.random())
        self.counts = Counts()
        self.rooms: list[int] = []

    async def begin(self) -> None:
        """Starts everything and makes the rooms; nothing breaks yet."""
        world = self.world
        for name in world.hosts:
            world.start(name)
        for user_id in USERS:
            world.enter(user_id)
        owner = world.persons[0]
        for _ in range(2):
            task = owner.node.start(owner.make_room(self._request_id()))
            self.rooms.append(await task)
        joins = [
            person.node.start(person.change("join", room))
            for person in world.persons[1:]
            for room in self.rooms
            if self.chance.random() < 0.8
        ]
        if joins:
            await asyncio.wait(joins)

    async def act(self, until: float) -> None:
        """Lets people do things at random times."""
        loop = self.world.loop
        while loop.time() < until:
            await asyncio.sleep(self.chance.expovariate(8.0))
            self.one()

    def one(self) -> None:
        """One thing that one person does."""
        small = self.world.small
        doing: list[tuple[float, Callable[[Person], Coroutine[Any, Any, None] | None]]] = [
            (10, self._send),
            (4, self._blurt),
            (2, self._send_again),
            (2, self._read),
            (0.5, lambda person: person.change("join", self._room())),
            (0.3, lambda person: person.change("leave", self._room())),
            (0.4, lambda person: self._as_owner("kick")),
            (0.4, lambda person: self._as_owner("add")),
            (0.4, self._cut),
            (0.1, self._crash),
            (SLOW_READERS if small else 0.0, self._dawdle),
            (ABSENCES if small else 0.0, self._pass_over),
        ]
        person = self.chance.choice(self.world.persons)
        work = self.chance.choices([what for _, what in doing], [weight for weight, _ in doing])[0](person)
        if work is not None:
            person.node.start(work)

    def _send(self, person: Person) -> Coroutine[Any, Any, None]:
        return person.send(*self._message(person))

    def _blurt(self, person: Person) -> Coroutine[Any, Any, None] | None:
        sender = f"{person.name}/{self.counts.sends}"
        for _ in range(self.chance.randrange(1, 4)):
            person.node.start(person.blurt(*self._message(person), sender))
        return None

    def _send_again(self, person: Person) -> Coroutine[Any, Any, None] | None:
        if not person.acknowledged:
            return None
        return person.resend(*self.chance.choice(person.acknowledged))

    def _read(self, person: Person) -> Coroutine[Any, Any, None]:
        return person.read(self._room())

    def _as_owner(self, what: str) -> None:
        owner = self._owner()
        if owner is not None:
            owner.node.start(owner.change(what, self._room(), self.chance.choice(USERS[1:])))

    def _owner(self) -> Person | None:
        return next((person for person in self.world.persons if person.user_id == USERS[0]), None)

    def _pass_over(self, person: Person) -> None:
        """Something is said in a room while somebody takes nothing in and is no member."""
        owner, rooms = self._owner(), sorted(person.listed)
        if owner is None or owner is person or not rooms:
            return
        words = self._words(owner, self.chance.choice(rooms))
        self._dawdle(person)
        lose = self.chance.random() < 0.7

        async def remove_and_add() -> None:
            await owner.change("kick", words[0], person.user_id)
            await owner.send(*words)
            await owner.change("add", words[0], person.user_id)
            if lose:
                self._cut(person)

        owner.node.start(remove_and_add())

    def _cut(self, person: Person) -> None:
        self.counts.fault("connection cut")
        person.node.call(person.cut)

    def _dawdle(self, person: Person) -> None:
        self.counts.fault("slow reader")
        person.node.call(person.dawdle, self.chance.choice(SLOW_SECONDS))

    def _crash(self, person: Person) -> None:
        self.counts.fault("client killed")
        self.world.leave(person)
        self.world.enter(person.user_id)

    def _message(self, person: Person) -> Words:
        return self._words(person, self._room())

    def _words(self, person: Person, room: int) -> Words:
        request_id = str(self._request_id())
        self.counts.sends += 1
        return room, f"{self.counts.sends} by {person.user_id}", request_id

    def _room(self) -> int:
        return self.chance.choice(self.rooms)

    def _request_id(self) -> uuid.UUID:
        return uuid.UUID(int=self.chance.getrandbits(128), version=4)

    # The end ------------------------------------------------------------------------------------------

    async def settle(self) -> list[str]:
        """Waits until everything is answered and everybody has everything, and then hears every member in
        each of its rooms: what is missing then, in words."""
        missing = await self._settled()
        said = await self._all_say()
        missing += await self._settled()
        await asyncio.sleep(2.0)  # what comes twice or too late still comes
        return [
            *missing,
            *(f"{p.name} was not heard: {words}" for p, words in said if words not in p.acknowledged),
        ]

    async def _all_say(self) -> list[tuple[Person, Words]]:
        """Everybody says something in every room that the log has it in."""
        said = [
            (person, self._words(person, room))
            for (room, user), intervals in self.world.memberships().items()
            for person in self.world.persons
            if user == person.user_id and intervals[-1][1] is None
        ]
        sending = [person.node.start(person.send(*words)) for person, words in said]
        if sending:
            await asyncio.wait(sending, timeout=HEARD_SECONDS)
        return said

    async def _settled(self) -> list[str]:
        """Waits until nothing is missing; what is after all."""
        deadline = self.world.loop.time() + SETTLE_SECONDS
        missing = self.missing()
        while missing and self.world.loop.time() < deadline:
            await asyncio.sleep(0.5)
            missing = self.missing()
        return missing

    def missing(self) -> list[str]:
        """What has not settled yet."""
        world = self.world
        found = [f"{p.name} waits for {p.pending} answers" for p in world.persons if p.pending]
        found += [f"{p.name} is not connected" for p in world.persons if not p.connected]
        found += [f"{p.name} is still paging" for p in world.persons if p.filling]
        found += self._behind()
        if world.postgres.late:
            found.append("a transaction that was given up is not committed yet")
        if world.postgres.chat._rows:
            found.append(f"{len(world.postgres.chat._rows)} rows wait in the outbox")
        ends = {partition: len(log) for partition, log in enumerate(world.broker.logs)}
        positions = world.log.log_position
        found += [
            f"partition {partition} ends at {end}, committed up to {positions[partition].next_offset}"
            for partition, end in ends.items()
            if partition in positions and positions[partition].next_offset < end
        ]
        return found

    def _behind(self) -> list[str]:
        found = []
        for (room, user), intervals in self.world.memberships().items():
            if intervals[-1][1] is not None:
                continue
            head = self.world.log.room_head[room].head_sequence
            for person in self.world.persons:
                if person.user_id != user:
                    continue
                cursor = person.chat.log.cursors().get(room)
                if cursor != head:
                    found.append(f"{person.name} has room {room} up to {cursor}, its head is {head}")
        return found
