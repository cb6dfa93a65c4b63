"""Many clients that send in a few rooms all the time, and the judgement over what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import httpx

from tests.support.api import Api, ApiError, Json, User
from tests.support.callers import Caller, new_caller
from tests.support.eventually import eventually
from tests.support.history import Kind, check
from tests.support.journal import Journal, Place
from tests.support.stack import Stack
from tests.support.stored_event import stored_of
from tests.support.swarm_client import SwarmClient
from tests.support.transports import open_binary, open_json

BURSTING = 5
"""One of so many clients sends bursts, too."""
END_SECONDS = 90.0
"""For the last answers, and then for the last events, after everything runs again."""
QUICK_SECONDS = 1.5
"""An answer that took no longer needed no look-up (2 s), so that nothing is broken that helps itself."""
OPENERS = (open_json, open_binary)


class Companions(Protocol):
    """Who comes and goes in the rooms of a swarm, such as wanderers."""

    async def stop(self) -> None:
        """Nobody comes or goes from now on."""

    async def see_all(self) -> None:
        """They have seen what is theirs; to be called when nobody sends any more."""


@dataclass
class Swarm:
    """The clients that run, the rooms they are in, and somebody who was in all rooms from the start."""

    api: Api
    journal: Journal
    witness: User
    rooms: Sequence[int]
    clients: Sequence[SwarmClient]
    guests: Sequence[SwarmClient] = ()
    """Who is in rooms of the swarm beside its clients, and is judged with them."""
    beside: list[Companions] = field(default_factory=list)
    """They end with the swarm."""
    caller: Caller | None = None
    """Calls what no message needs while the clients send."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _senders: list[asyncio.Task[None]] = field(default_factory=list)

    def start_sending(self) -> None:
        """Every client begins to send in each of its rooms."""
        for client in self.clients:
            for room in client.cursors:
                self._senders.append(asyncio.create_task(client.send_until(self._stopping, room)))
        if self.caller:
            self.caller.start()

    async def everyone_sent(self, since: float, seconds: float) -> None:
        """Until each client got `sent` in each of its rooms for a message begun after `since`.

        Raises TimeoutError with who did not.
        """
        await self._nothing_of(lambda: self._unsent(self.journal.first_answers(since)), seconds)

    async def normal(self, since: float, seconds: float) -> None:
        """Until the last message of every client in every room was begun after `since` and answered quickly,
        and everybody in the room was shown one that is as new; and the caller's calls are answered.

        Raises TimeoutError with what is not so.
        """
        if self.caller:
            self.caller.hurry()
        await self._nothing_of(lambda: self.missing(since), seconds)

    def missing(self, since: float) -> list[str]:
        """What is not normal now, a sentence each."""
        reached = self.journal.reached(since)
        return [
            *self._unsent(self.journal.quick(since, QUICK_SECONDS)),
            *(f"{name} is shown nothing new of {room}" for name, room in self._places() - reached),
            *(self.caller.missing(since) if self.caller else ()),
        ]

    def _unsent(self, sent: Iterable[Place]) -> list[str]:
        return [f"{name} has no new `sent` in {room}" for name, room in self._places() - set(sent)]

    def _places(self) -> set[Place]:
        return {(client.name, room) for client in self.clients for room in client.cursors}

    async def _nothing_of(self, missing: Callable[[], list[str]], seconds: float) -> None:
        async def nothing() -> bool:
            return not missing()

        try:
            await eventually(nothing, seconds=seconds, what="all that was waited for")
        except TimeoutError as error:
            raise TimeoutError("; ".join([str(error), *sorted(missing())])) from None

    async def finish(self) -> None:
        """Ends the sending, each message with its definite answer, and waits until every view is complete."""
        self._stopping.set()
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*self._senders)
            if self.caller:
                await self.caller.finish()
        for companions in self.beside:
            await companions.stop()
        # Its token lasts a quarter of an hour, which is less than the swarm may.
        self.witness = await self.api.login(self.witness)
        heads = {room: await self.api.head(self.witness, room) for room in self.rooms}

        async def all_there() -> bool:
            return all(c.cursors[room] >= heads[room] for c in self.clients for room in c.cursors)

        with contextlib.suppress(TimeoutError):
            # The checker says it better: whose view ends where.
            await eventually(all_there, seconds=END_SECONDS, what="complete views")
        for companions in self.beside:
            await companions.see_all()
        with contextlib.suppress(TimeoutError):  # `unanswered` says which
            async with asyncio.timeout(END_SECONDS):
                await asyncio.gather(*(client.reads.answered() for client in (*self.clients, *self.guests)))

    async def say(self, text: str) -> None:
        """The witness sends into the first room, once. Raises ApiError, httpx.TransportError."""
        room, request_id = self.rooms[0], str(uuid.uuid4())
        self._note_own(Kind.INVOKE, request_id=request_id, body=text)
        try:
            sent = await self.api.send(self.witness, room, text, request_id)
        except (ApiError, httpx.TransportError):
            self._note_own(Kind.UNKNOWN, request_id=request_id)
            raise
        self._note_own(Kind.OK, request_id=request_id, sequence=int(sent["sequence"]))

    def _note_own(self, kind: Kind, **details: Any) -> None:
        self.journal.note("witness", self.witness.user_id, kind, self.rooms[0], **details)

    def unanswered(self) -> list[str]:
        """Request ids and receipts that never got a definite answer."""
        answered = {r.request_id for r in self.journal.records if r.kind in (Kind.OK, Kind.FAIL)}
        names = {client.name for client in self.clients}
        records = self.journal.records
        invoked = [r.request_id for r in records if r.kind is Kind.INVOKE and r.client in names]
        said = {(r.client, r.room, r.sequence) for r in records if r.kind is Kind.READING}
        said -= {(r.client, r.room, r.sequence) for r in records if r.kind in (Kind.READ, Kind.DENIED)}
        return [
            *(request_id for request_id in invoked if request_id not in answered),
            *(f"the receipt of {name} at {sequence} of room {room}" for name, room, sequence in sorted(said)),
        ]

    async def judge(self) -> list[str]:
        """Every broken promise in a sentence: I1 to I6, and complaints."""
        await self._note_lists()
        logs = {room: await self.api.log(self.witness, room) for room in self.rooms}
        stored = {room: [stored_of(event) for event in log] for room, log in logs.items()}
        present = {client.name: client.user.user_id for client in (*self.clients, *self.guests)}
        violations = check(self.journal.records, stored, memberships_of(logs), present)
        return [*self.journal.complaints, *map(str, violations)]

    async def _note_lists(self) -> None:
        """What everybody's list of rooms says is judged like a `welcome`."""
        for client in (*self.clients, *self.guests):
            began = time.monotonic()
            listed = await self.api.pages("RoomService/ListRooms", {}, client.user, "rooms")
            for room in listed:
                self.journal.note(
                    client.name,
                    client.user.user_id,
                    Kind.LISTED,
                    int(room["roomId"]),
                    sequence=int(room["readSequence"]),
                    to_sequence=int(room["headSequence"]),
                    unread=room["unreadCount"],
                    began=began,
                )
            missing = client.cursors.keys() - {int(room["roomId"]) for room in listed}
            if client in self.clients and missing:
                self.journal.complaints.append(f"{client.name} does not find rooms {missing} in its list")


@asynccontextmanager
async def running_swarm(
    stack: Stack, *, clients: int, rooms: int, seed: int = 1, pace: float = 1.0, calls: bool = False
) -> AsyncIterator[Swarm]:
    """Registers users, makes rooms, connects everybody; nobody sends yet. All is ended with the block.

    `calls`: there is a caller too.
    """
    api = Api(stack.http_url)
    journal = Journal()
    witness = await api.register("witness")
    users = [await api.register(f"swarm{number}") for number in range(clients)]
    members = [users[number::rooms] + users[(number + 1) % rooms :: rooms] for number in range(rooms)]
    room_ids = [await api.create_room(witness, somebody) for somebody in members]
    made = [
        SwarmClient(
            f"client-{number}",
            user,
            [room for room, somebody in zip(room_ids, members, strict=True) if user in somebody],
            partial(OPENERS[number % len(OPENERS)], stack.ws_url),
            api,
            journal,
            seed + number,
            pace,
            bursts=number % BURSTING == 0,
        )
        for number, user in enumerate(users)
    ]
    caller = await new_caller(stack.http_url, journal) if calls else None
    swarm = Swarm(api, journal, witness, room_ids, made, caller=caller)
    running = [asyncio.create_task(client.run()) for client in made]
    running.append(asyncio.create_task(journal.look_at_the_loop()))
    try:
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*(client.connected() for client in made))
        yield swarm
    finally:
        for task in itertools.chain(running, swarm._senders):
            task.cancel()
        await asyncio.gather(*running, *swarm._senders, return_exceptions=True)
        if caller:
            await caller.close()
        await api.close()


def memberships_of(logs: dict[int, list[Json]]) -> dict[tuple[int, int], list[tuple[int, int | None]]]:
    """Intervals of sequences, from who joined and left in each log."""
    intervals: dict[tuple[int, int], list[tuple[int, int | None]]] = defaultdict(list)
    for room, log in logs.items():
        for event in log:
            if "memberJoined" in event:
                user = int(event["memberJoined"]["membership"]["userId"])
                intervals[room, user].append((int(event["sequence"]), None))
            if "memberLeft" in event:
                key = room, int(event["memberLeft"]["userId"])
                intervals[key][-1] = (intervals[key][-1][0], int(event["sequence"]))
    return intervals
