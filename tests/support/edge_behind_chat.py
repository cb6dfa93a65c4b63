"""The small edge on the link of a real chat instance; hints and lists come as a story wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from polychat.internal.link.v1.link_service_pb2 import (
    AttachRequest,
    AttachResponse,
    ConnectionOpened,
    OpenConnection,
)
from polychat.internal.log.v1.record_pb2 import EventRecord

from chassis.kafka import PARTITIONS
from edge.room import User
from services.chat.hub import Hub
from services.chat.link_output import LinkOutput
from services.chat.links import Link, LinkParts
from services.chat.peers import UserRoomList
from services.chat.placement import Placement
from services.chat.repair import LISTS_SECONDS, Repair
from services.chat.typing_signals import TypingSignals
from tests.support.chat_rig import Tokens, opening
from tests.support.chat_world import Time, World
from tests.support.edge_log import RoomLogStore, message_event
from tests.support.edge_small import SmallEdge, SmallPeer, small_edge

MOST_TURNS = 6
"""Of the loop, less one, that each part of an answer of message takes."""


class SlowLog:
    """What chat reads of the log (placement.LogReader): rooms first, ended memberships a while after."""

    def __init__(self, store: RoomLogStore, chance: Random) -> None:
        self._store = store
        self._chance = chance
        self.lists = 0
        """Lists that were asked for."""

    async def all_rooms(self, user_ids: Sequence[int]) -> dict[int, UserRoomList]:
        """See LogReader."""
        self.lists += len(user_ids)
        await self._pause()
        rooms = {user_id: self._store.rooms_of(user_id) for user_id in user_ids}
        await self._pause()
        ended = {user_id: self._store.ended_of(user_id) for user_id in user_ids}
        await self._pause()
        return {user_id: UserRoomList.combined(rooms[user_id], ended[user_id]) for user_id in user_ids}

    async def heads(self, room_ids: Sequence[int]) -> dict[int, int]:
        """See LogReader."""
        await self._pause()
        return {room_id: self._store.head(room_id) for room_id in room_ids}

    async def _pause(self) -> None:
        for _ in range(self._chance.randrange(MOST_TURNS)):
            await asyncio.sleep(0)


class Chat:
    """One chat instance that an edge is attached to."""

    def __init__(self, log: SlowLog) -> None:
        self.time = Time()
        self.hub = Hub(lambda _rooms, _wanted: None)
        placement = Placement(self.hub, log)
        self._repair = Repair(self.hub, placement, self.time)
        self._mending = asyncio.Lock()
        typing = TypingSignals(self.hub, self._let_be, self.time)
        parts = LinkParts(self.hub, World().sending, placement, Tokens(), typing, self.time)
        self.output = LinkOutput("chat-1")
        self._link = Link(parts, "edge-1", self.output)
        self._requests: asyncio.Queue[AttachRequest] = asyncio.Queue()

    async def _let_be(self, _hints: object) -> None:
        """Nobody hears signals."""

    async def read(self) -> None:
        """Takes in what the edge says, for ever."""
        await self._link.read(AttachRequest(edge_instance="edge-1"), self._said())

    async def _said(self) -> AsyncIterator[AttachRequest]:
        while True:
            yield await self._requests.get()

    def open(self, openings: Sequence[OpenConnection]) -> None:
        """The edge opens connections, for the first time or again."""
        self._requests.put_nowait(AttachRequest(open=openings))

    def close(self, connection_id: int) -> None:
        """The edge has lost a connection."""
        self._requests.put_nowait(AttachRequest(closed_connection_ids=[connection_id]))

    async def mend(self) -> None:
        """Repairs what is due, after what is being repaired (Repair.run)."""
        async with self._mending:
            await self._repair.repair()

    def doubt(self) -> None:
        """Any hint may be lost, and it is long ago that lists were read."""
        self.time.now += LISTS_SECONDS
        self._repair.request(range(PARTITIONS))


class EdgeBehindChat:
    """An edge, the chat instance that it is attached to now, and the link between them."""

    def __init__(self, edge: SmallEdge, chance: Random, tasks: asyncio.TaskGroup) -> None:
        self.edge = edge
        self.store = edge.store
        self.log = SlowLog(edge.store, chance)
        self.flow = asyncio.Event()
        """While it is clear, the edge takes nothing off the link."""
        self.peers: dict[int, SmallPeer] = {}
        """By connection, those that were welcomed."""
        self._opening: dict[int, tuple[int, dict[int, int]]] = {}
        """By connection, the user and the cursors of those that wait for that."""
        self._last = 0
        self._tasks = tasks
        edge.fanout.comings.on_late = self._ask_again
        self._attach()

    def _attach(self) -> None:
        self.chat = Chat(self.log)
        self._running = [
            self._tasks.create_task(self.chat.read()),
            self._tasks.create_task(self._carry(self.chat.output)),
        ]

    async def _carry(self, output: LinkOutput) -> None:
        async for response in output.frames():
            await self.flow.wait()
            self._receive(response)

    def _receive(self, response: AttachResponse) -> None:
        self.edge.rooms.deliver(response)
        for opened in response.opened:
            self._opened(opened)
        self.edge.rooms.flush()

    def _opened(self, opened: ConnectionOpened) -> None:
        connection_id = opened.connection_id
        if opened.HasField("failure"):
            self._refused(connection_id)
        elif connection_id in self._opening and self.edge.rooms.is_old(opened):
            self.chat.open([opening(connection_id, opened.user_id)])
        elif connection_id in self._opening:
            _user_id, cursors = self._opening.pop(connection_id)
            self.peers[connection_id] = self.edge.welcome(opened, cursors)
        elif connection_id in self.peers:
            self.edge.rooms.compare(self.peers[connection_id].wire, opened)

    def _refused(self, connection_id: int) -> None:
        """The user's list was out of date each time: the client says hello again, or the edge asks again."""
        if connection_id in self._opening:
            user_id, cursors = self._opening.pop(connection_id)
            self.edge.rooms.recall(user_id)
            self.connect(user_id, cursors)
        elif connection_id in self.peers:
            self.chat.open([opening(connection_id, self.peers[connection_id].user_id)])

    def _ask_again(self, user: User) -> None:
        """By one of the user's connections, as sessions do."""
        asker = user.ask()

        def ask() -> None:
            for number, peer in self.peers.items():
                if peer.wire is asker:
                    self.chat.open([opening(number, user.user_id)])

        self.edge.outbox.later(ask)

    def commit(self, room_id: int, user_id: int, text: str, *, moves: bool = False) -> EventRecord:
        """Something happens in a room: the user comes or leaves by it, or says something."""
        here = self.store.joined(room_id, user_id) != 0
        joined = (user_id,) if moves and not here else ()
        left = (user_id,) if moves and here else ()
        return self.store.append(room_id, message_event(user_id, text), joined, left)

    def connect(self, user_id: int, cursors: dict[int, int] | None = None) -> None:
        """A client says hello; it is welcomed when chat has answered."""
        self._last += 1
        self._opening[self._last] = (user_id, cursors or {})
        self.edge.rooms.expect(user_id)
        self.chat.open([opening(self._last, user_id)])

    def disconnect(self, connection_id: int) -> SmallPeer:
        """A connection is lost."""
        peer = self.peers.pop(connection_id)
        self.edge.leave(peer)
        self.chat.close(connection_id)
        return peer

    def reconnect(self, connection_id: int) -> None:
        """A connection is lost; its client comes back with what it had."""
        peer = self.disconnect(connection_id)
        self.connect(peer.user_id, dict(peer.told.cursors))

    def renew(self) -> None:
        """The edge attaches to another instance and opens all connections again; what was under way is
        lost."""
        self.end()
        self._attach()
        self.edge.rooms.ask_anew()
        users = {number: user_id for number, (user_id, _cursors) in self._opening.items()}
        users |= {number: peer.user_id for number, peer in self.peers.items()}
        self.chat.open([opening(number, user_id) for number, user_id in users.items()])

    def repair(self) -> None:
        """Chat repairs what is due, meanwhile."""
        self._running.append(self._tasks.create_task(self.chat.mend()))

    def end(self) -> None:
        """The link breaks."""
        for task in self._running:
            task.cancel()

    @property
    def count(self) -> int:
        """Connections, welcomed or not yet."""
        return len(self.peers) + len(self._opening)


@asynccontextmanager
async def edge_behind_chat(chance: Random) -> AsyncIterator[EdgeBehindChat]:
    """Runs until the block ends."""
    async with small_edge() as edge, asyncio.TaskGroup() as tasks:
        world = EdgeBehindChat(edge, chance, tasks)
        yield world
        world.end()
