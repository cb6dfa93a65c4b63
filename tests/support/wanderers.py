"""Clients that come into a swarm's rooms and go again all the time, so that no leak goes unseen (I5)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx

from tests.support.api import RETRYABLE, ApiError, User
from tests.support.eventually import eventually
from tests.support.history import Kind
from tests.support.stack import Stack
from tests.support.swarm import END_SECONDS, OPENERS, Swarm, memberships_of
from tests.support.swarm_client import SwarmClient

PAUSE_SECONDS = (0.3, 1.5)
"""Between two moves of one of them."""
LEFT_SECONDS = 5.0
"""For the last events of rooms that somebody left in the end."""
EXPECTED = frozenset({"NOT_A_MEMBER", "MEMBERSHIP_NOT_FOUND"})
"""What a move that is said again may be answered: its first answer was lost, and it was done."""


@dataclass
class Wanderers:
    """They send nothing; what they see goes into the journal of the swarm and is judged with it."""

    swarm: Swarm
    clients: Sequence[SwarmClient]
    moves: int = 0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _moving: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, seed: int) -> None:
        """Each begins to move."""
        for number, client in enumerate(self.clients):
            chance = random.Random(seed + number)
            self._moving.append(asyncio.create_task(self._move_until_stopped(client, chance)))

    async def stop(self) -> None:
        """Ends the moving: nobody comes or goes from now on."""
        self._stopping.set()
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*self._moving)

    async def see_all(self) -> None:
        """Waits until each has seen all of the rooms it is in; to be called when nobody sends any more."""
        for client in self.clients:
            listed = await self.swarm.api.pages("RoomService/ListRooms", {}, client.user, "rooms")
            heads = {int(room["roomId"]): int(room["headSequence"]) for room in listed}
            with contextlib.suppress(TimeoutError):  # the checker says whose view ends where
                await eventually(partial(_all_seen, client, heads), seconds=END_SECONDS)
        logs = {room: await self.swarm.api.log(self.swarm.witness, room) for room in self.swarm.rooms}
        left = {key: stays[-1][1] for key, stays in memberships_of(logs).items()}

        async def leaves_seen() -> bool:
            return all(
                client.cursors.get(room, 0) >= (left.get((room, client.user.user_id)) or 0)
                for client in self.clients
                for room in self.swarm.rooms
            )

        with contextlib.suppress(TimeoutError):  # who was removed while away never sees it
            await eventually(leaves_seen, seconds=LEFT_SECONDS)

    async def _move_until_stopped(self, client: SwarmClient, chance: random.Random) -> None:
        user, inside = client.user, set[int]()
        while not self._stopping.is_set():
            room = chance.choice(self.swarm.rooms)
            if room not in inside:
                await self._do("AddMembers", self.swarm.witness, room, userIds=[str(user.user_id)])
                self.swarm.journal.note(client.name, user.user_id, Kind.JOINED, room)
                inside.add(room)
            elif chance.random() < 0.5:
                await self._do("LeaveRoom", user, room)
                inside.remove(room)
            else:
                await self._do("RemoveMember", self.swarm.witness, room, userId=str(user.user_id))
                inside.remove(room)
            self.moves += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), chance.uniform(*PAUSE_SECONDS))

    async def _do(self, method: str, who: User, room: int, **params: object) -> None:
        """Until it is answered definitely: whoever is in which room is then known."""
        while True:
            try:
                request = {"roomId": str(room), **params}
                await self.swarm.api.call_again(f"MembershipService/{method}", request, who)
            except httpx.TransportError:
                continue
            except ApiError as error:
                if error.code in RETRYABLE or error.reason == "TOKEN_EXPIRED":
                    continue
                if error.reason not in EXPECTED:
                    self.swarm.journal.complaints.append(f"{method} in room {room} was refused: {error}")
            return


async def _all_seen(client: SwarmClient, heads: dict[int, int]) -> bool:
    return all(client.cursors.get(room, 0) >= head for room, head in heads.items())


@asynccontextmanager
async def wanderers(stack: Stack, swarm: Swarm, *, count: int, seed: int = 1) -> AsyncIterator[Wanderers]:
    """Registered, connected and moving; `stop` and `see_all` before the swarm is judged."""
    users = [await swarm.api.register(f"wanderer{number}") for number in range(count)]
    clients = [
        SwarmClient(
            f"wanderer-{number}",
            user,
            [],
            partial(OPENERS[number % len(OPENERS)], stack.ws_url),
            swarm.api,
            swarm.journal,
            seed - number,
        )
        for number, user in enumerate(users)
    ]
    swarm.guests = clients
    made = Wanderers(swarm, clients)
    running = [asyncio.create_task(client.run()) for client in clients]
    made.start(seed)
    try:
        yield made
    finally:
        for task in (*running, *made._moving):
            task.cancel()
        await asyncio.gather(*running, *made._moving, return_exceptions=True)
