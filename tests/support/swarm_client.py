"""One client of a swarm: sends in its rooms, writes down what it sees, comes back whenever it is cut off."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import httpx
from websockets.exceptions import InvalidHandshake, InvalidMessage

from tests.support.api import Api, ApiError, Json, User
from tests.support.history import Kind
from tests.support.journal import Journal
from tests.support.peer import Peer, Refused
from tests.support.stored_event import stored_of
from tests.support.swarm_reads import Reads
from tests.support.swarm_sends import Sends
from tests.support.transports import Closed, Frame, Transport, kind_of

Open = Callable[[], Awaitable[Transport]]
PAUSE_SECONDS = (0.2, 1.0)
"""Between two turns of one client in one room, times its pace."""
READ_SHARE = 0.1
"""Of the events a client sees it says for this many that it has read up to there, one at a time."""
RECONNECT_SECONDS = (0.05, 0.5)
TOKEN_EXPIRED, UNAUTHENTICATED, STOP = 4101, 4200, 4200


class SwarmClient:
    """A user with one connection at a time. In each room one message is on its way at most, or one burst:
    it is sent again, with the same request ids, until the answers are definite, before the next one begins.
    """

    def __init__(
        self,
        name: str,
        user: User,
        rooms: Sequence[int],
        open_: Open,
        api: Api,
        journal: Journal,
        seed: int,
        pace: float = 1.0,
        *,
        bursts: bool = False,
    ) -> None:
        self.name = name
        self.user = user
        self.cursors = dict.fromkeys(rooms, 0)
        self.connections = 0
        self._open = open_
        self._api = api
        self._journal = journal
        self._random = random.Random(seed)
        self._pace = pace
        self._peer: Peer | None = None
        self._connected = asyncio.Event()
        self._filling: dict[int, list[Json]] = {}
        self._fills: set[asyncio.Task[None]] = set()
        self.reads = Reads(self._connection, self._note, self._complain)
        self._sends = Sends(
            self._connection,
            self._refresh,
            self._note,
            self._complain,
            journal,
            self._random,
            bursts=bursts,
        )

    async def run(self) -> None:
        """Stays connected until cancelled."""
        try:
            while True:
                token = self.user.access_token
                code = await self._one_connection()
                if code in (TOKEN_EXPIRED, UNAUTHENTICATED):
                    await self._api.try_renew(self.user, token)
                elif code >= STOP:
                    self._complain(f"was told to stop by close code {code}")
                await asyncio.sleep(self._random.uniform(*RECONNECT_SECONDS))
        finally:
            self.reads.end()

    async def send_until(self, stopping: asyncio.Event, room: int) -> None:
        """Sends one message or one burst after the other; returns after the last answer."""
        texts = (f"{self.name} says {number}" for number in itertools.count(1))
        while not stopping.is_set():
            await self._sends.turn(room, texts)
            with contextlib.suppress(TimeoutError):
                pause = self._pace * self._random.uniform(*PAUSE_SECONDS)
                await asyncio.wait_for(stopping.wait(), pause)

    async def connected(self) -> None:
        """Until there is a connection with its `welcome`."""
        await self._connected.wait()

    def cut(self) -> None:
        """Drops the connection as a lost network would."""
        if self._peer is not None:
            self._peer.transport.abort()

    async def _one_connection(self) -> int:
        try:
            transport = await self._open()
        except (OSError, TimeoutError, InvalidHandshake, InvalidMessage):
            return 0
        peer = Peer(transport, self._take, partial(self._welcomed, time.monotonic()))
        try:
            for room, sequence in self.cursors.items():
                self._note(Kind.RESUME, room, sequence=sequence)
            await peer.hello(self.user.access_token, self.cursors)
            self.connections += 1
            self._peer = peer
            self._connected.set()
            await asyncio.wait([peer.over])
        except Refused as error:
            return UNAUTHENTICATED if error.code == "UNAUTHENTICATED" else 0
        except Closed:
            pass
        except TimeoutError:
            self._complain("got neither an answer nor a close for its hello")
        finally:
            self._peer = None
            self._connected.clear()
            await self._end_fills()
            await peer.end()
            self._note(Kind.LOST, 0)
        return peer.lost.code if peer.lost else 0

    async def _connection(self) -> Peer:
        """The present one, or the next."""
        while True:
            await self._connected.wait()
            if self._peer is not None and self._peer.lost is None:
                return self._peer
            self._connected.clear()

    async def _refresh(self) -> None:
        """A new token for a connection that lives on; tried until it has it or is over, with a pause before
        each attempt: auth may be away, and a server's clock may be wrong."""
        await self._connected.wait()
        peer, token = self._peer, self.user.access_token
        while peer is not None and peer.lost is None:
            await asyncio.sleep(self._random.uniform(*RECONNECT_SECONDS))
            if not await self._api.try_renew(self.user, token):
                continue
            token = self.user.access_token
            with contextlib.suppress(Refused, Closed, TimeoutError):
                await peer.ask({"refresh": {"accessToken": token}})
                return

    def _take(self, frame: Frame) -> None:
        kind = kind_of(frame)
        body = frame[kind]
        if kind in ("event", "skip", "gap"):
            room = int(body["roomId"])
            if room in self._filling:
                self._filling[room].append(frame)
            elif kind == "gap":
                self._filling[room] = [frame]
                self._keep(self._fills, self._fill(room))
            else:
                self._see(room, frame)
        elif kind == "receipt":
            subject, sequence = int(body["userId"]), int(body["readSequence"])
            self._note(Kind.RECEIPT, int(body["roomId"]), subject=subject, sequence=sequence)
        elif kind == "typing":
            self._note(Kind.TYPING, int(body["roomId"]), subject=int(body["userId"]))
        elif kind == "tokenExpiring":
            self._keep(self._fills, self._refresh())
        elif kind == "error" and body["reason"] != "TOKEN_EXPIRED":  # that one says why 4101 follows
            self._complain(f"got an error that answers nothing: {body}")

    def _see(self, room: int, frame: Frame) -> None:
        """What the server showed, exactly so: a hole or a repeat is for the checker to find."""
        if "skip" in frame:
            last = int(frame["skip"]["toSequence"])
            first = int(frame["skip"]["fromSequence"])
            self._note(Kind.SKIP, room, sequence=first, to_sequence=last)
            self.cursors[room] = last
            return
        event = stored_of(frame["event"])
        sequence = event.sequence
        self._note(Kind.RECEIVE, room, sequence=sequence, message_id=event.message_id, shown=event)
        self.cursors[room] = sequence
        if self._random.random() < READ_SHARE:
            self.reads.say(room, sequence)

    def _welcomed(self, began: float, welcome: Frame) -> None:
        """A room that the hello had no cursor of goes on after the head that is told."""
        self._note(Kind.LOST, 0)
        for state in welcome.get("rooms", ()):
            room, head = int(state["roomId"]), int(state["headSequence"])
            self._note(
                Kind.STATE,
                room,
                sequence=int(state["readSequence"]),
                to_sequence=head,
                unread=state["unreadCount"],
                began=began,
            )
            self.cursors.setdefault(room, head)

    def _keep(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(partial(self._ended, tasks))

    def _ended(self, tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._complain(f"came upon {error!r}")

    async def _fill(self, room: int) -> None:
        """Takes what waits of a room: a gap, and all that came behind it, which may be another one."""
        waiting = self._filling[room]
        while waiting:
            frame = waiting.pop(0)
            if "gap" in frame:
                await self._fill_gap(room, frame["gap"])
            else:
                self._see(room, frame)
        del self._filling[room]

    async def _fill_gap(self, room: int, gap: Json) -> None:
        head = int(gap["headSequence"])
        self._note(Kind.GAP, room, sequence=int(gap["fromSequence"]), to_sequence=head)
        if gap.get("reset"):
            self._complain(f"was told to forget room {room}")
        try:
            await self._page(room, head)
        except (ApiError, httpx.TransportError) as error:
            self._complain(f"could not page room {room}: {error!r}")

    async def _page(self, room: int, head: int) -> None:
        request = {"roomId": str(room), "pageSize": 100}
        while self.cursors[room] < head:
            request["afterSequence"] = str(self.cursors[room])
            page = await self._api.call_again("MessageService/ListEvents", request, self.user)
            if not page.get("events"):
                self._complain(f"found nothing of room {room} after {self.cursors[room]}, the head is {head}")
                break
            for event in page["events"]:
                if int(event["sequence"]) <= head:
                    self._see(room, {"event": event})

    async def _end_fills(self) -> None:
        """The next connection begins where the filling got to, and shows the rest again."""
        for task in self._fills:
            task.cancel()
        if self._fills:
            await asyncio.wait(self._fills)
        self._filling.clear()

    def _note(self, kind: Kind, room: int, **details: Any) -> None:
        self._journal.note(self.name, self.user.user_id, kind, room, **details)

    def _complain(self, text: str) -> None:
        self._journal.complaints.append(f"{self.name} {text}")
