"""Many clients that send in a few rooms all the time, and the judgement over what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from tests.support.api import Api, Json, User
from tests.support.eventually import eventually
from tests.support.history import Kind, Stored, check
from tests.support.journal import Journal, Place
from tests.support.stack import Stack
from tests.support.swarm_client import SwarmClient
from tests.support.transports import open_binary, open_json

ROOMS_OF_A_CLIENT = 2
END_SECONDS = 90.0
"""For the last answers, and then for the last events, after everything runs again."""
QUICK_SECONDS = 1.5
"""An answer that took no longer needed no look-up (2 s), so that nothing is broken that helps itself."""
OPENERS = (open_json, open_binary)


@dataclass
class Swarm:
    """The clients that run, the rooms they are in, and somebody who was in all rooms from the start."""

    api: Api
    journal: Journal
    witness: User
    rooms: Sequence[int]
    clients: Sequence[SwarmClient]
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _senders: list[asyncio.Task[None]] = field(default_factory=list)

    def start_sending(self) -> None:
        """Every client begins to send in each of its rooms."""
        for client in self.clients:
            for room in client.cursors:
                self._senders.append(asyncio.create_task(client.send_until(self._stopping, room)))

    async def everyone_sent(self, since: float, seconds: float) -> None:
        """Until each client got `sent` in each of its rooms for a message begun after `since`.

        Raises TimeoutError with who did not.
        """
        await self._nothing_of(lambda: self._unsent(self.journal.first_answers(since)), seconds)

    async def normal(self, since: float, seconds: float) -> None:
        """Until the last message of every client in every room was begun after `since` and answered quickly,
        and everybody in the room was shown one that is as new.

        Raises TimeoutError with what is not so.
        """
        await self._nothing_of(lambda: self.missing(since), seconds)

    def missing(self, since: float) -> list[str]:
        """What is not normal now, a sentence each."""
        reached = self.journal.reached(since)
        return [
            *self._unsent(self.journal.quick(since, QUICK_SECONDS)),
            *(f"{name} is shown nothing new of {room}" for name, room in self._places() - reached),
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
        # Its token lasts a quarter of an hour, which is less than the swarm may.
        self.witness = await self.api.login(self.witness)
        heads = {room: await self.api.head(self.witness, room) for room in self.rooms}

        async def all_there() -> bool:
            return all(c.cursors[room] >= heads[room] for c in self.clients for room in c.cursors)

        with contextlib.suppress(TimeoutError):
            # The checker says it better: whose view ends where.
            await eventually(all_there, seconds=END_SECONDS, what="complete views")

    def unanswered(self) -> list[str]:
        """Request ids that never got a definite answer."""
        answered = {r.request_id for r in self.journal.records if r.kind in (Kind.OK, Kind.FAIL)}
        invoked = [r.request_id for r in self.journal.records if r.kind is Kind.INVOKE]
        return [request_id for request_id in invoked if request_id not in answered]

    async def judge(self) -> list[str]:
        """Every broken promise in a sentence: I1 to I6, and complaints."""
        logs = {room: await self.api.log(self.witness, room) for room in self.rooms}
        stored = {room: [_stored(event) for event in log] for room, log in logs.items()}
        violations = check(self.journal.records, stored, _memberships(logs))
        unread = [text for client in self.clients async for text in self._unread(client, logs)]
        return [*self.journal.complaints, *map(str, violations), *unread]

    async def _unread(self, client: SwarmClient, logs: dict[int, list[Json]]) -> AsyncIterator[str]:
        """I6: what the room list says is what a recount gives."""
        listed = await self.api.pages("RoomService/ListRooms", {}, client.user, "rooms")
        rooms = {int(room["roomId"]): room for room in listed}
        for room_id in client.cursors:
            room, log = rooms[room_id], logs[room_id]
            read, head = int(room["readSequence"]), int(room["headSequence"])
            messages = [event for event in log if "messageCreated" in event]
            unread = sum(int(event["sequence"]) > read for event in messages)
            own = [e for e in messages if e["messageCreated"]["message"]["senderUserId"] == _id(client)]
            if room["unreadCount"] != unread:
                yield f"I6: {client.name} has {room['unreadCount']} unread in {room_id}, recounted {unread}"
            if read > head or head != len(log):
                yield f"I6: room {room_id} has {len(log)} events; head {head}, {client.name} read {read}"
            if own and read < int(own[-1]["sequence"]):
                yield f"I6: {client.name} read {read} in {room_id}, before their own last message"


@asynccontextmanager
async def running_swarm(
    stack: Stack, *, clients: int, rooms: int, seed: int = 1, pace: float = 1.0
) -> AsyncIterator[Swarm]:
    """Registers users, makes rooms, connects everybody; nobody sends yet. All is ended with the block."""
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
        )
        for number, user in enumerate(users)
    ]
    swarm = Swarm(api, journal, witness, room_ids, made)
    running = [asyncio.create_task(client.run()) for client in made]
    try:
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*(client.connected() for client in made))
        yield swarm
    finally:
        for task in itertools.chain(running, swarm._senders):
            task.cancel()
        await asyncio.gather(*running, *swarm._senders, return_exceptions=True)
        await api.close()


def _id(client: SwarmClient) -> str:
    return str(client.user.user_id)


def _stored(event: Json) -> Stored:
    message = event.get("messageCreated", {}).get("message")
    if message is None:
        return Stored(int(event["sequence"]))
    return Stored(
        int(event["sequence"]),
        event["requestId"],
        int(message["messageId"]),
        int(message["senderUserId"]),
        message["text"],
        int(message["messageNumber"]),
    )


def _memberships(logs: dict[int, list[Json]]) -> dict[tuple[int, int], list[tuple[int, int | None]]]:
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
