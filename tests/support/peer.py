"""One connection seen from the client: replies find their requests, everything else is kept in order."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.support.transports import Closed, Frame, Transport, kind_of

ASK_SECONDS = 15.0
"""Far beyond the 5 s in which a send is answered: what takes longer is not answered at all."""


class Refused(Exception):  # noqa: N818 — named after what happened to the request
    """An `error` frame."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(dict(error)))
        self.code = str(error["code"])
        self.reason = str(error["reason"])
        self.retryable = bool(error["retryable"])
        self.retry_after = float(str(error.get("retryAfter", "0s")).removesuffix("s"))
        self.metadata = dict(error["metadata"])


class Peer:
    """A connection. Every frame that answers nothing goes to `on_frame`, else to `frames`, in order; the
    `welcome` goes to `on_welcome` before what comes after it."""

    def __init__(
        self,
        transport: Transport,
        on_frame: Callable[[Frame], None] | None = None,
        on_welcome: Callable[[Frame], None] | None = None,
    ) -> None:
        self.transport = transport
        self.frames: list[Frame] = []
        self.welcome: Frame = {}
        self.lost: Closed | None = None
        self._on_frame = on_frame or self.frames.append
        self._on_welcome = on_welcome
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._changed = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def hello(self, token: str, cursors: Mapping[int, int] | None = None, log_epoch: int = 0) -> Frame:
        """Says who this is; gives the `welcome`. The cursors are of the log's epoch `log_epoch`."""
        rooms = [{"roomId": str(r), "sequence": str(s)} for r, s in (cursors or {}).items()]
        hello: Frame = {"accessToken": token, "client": "test/1", "rooms": rooms}
        if log_epoch:
            hello["logEpoch"] = str(log_epoch)
        answer = await self.ask({"hello": hello})
        self.welcome = dict(answer["welcome"])
        return self.welcome

    async def ask(self, body: Frame, seconds: float = ASK_SECONDS) -> Frame:
        """Sends a request and gives its reply. Raises Refused, Closed, TimeoutError."""
        number = next(self._ids)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            if self.lost is not None:
                raise self.lost
            await self.transport.send({"id": number, **body})
            async with asyncio.timeout(seconds):
                frame = await answer
        except Closed:
            await asyncio.sleep(0)  # the reader learns of it in a turn of its own, also when we ask again
            raise
        finally:
            del self._waiting[number]
        if "error" in frame:
            raise Refused(frame["error"])
        return frame

    async def call(self, method: str, params: Mapping[str, Any]) -> Frame:
        """Any public method by its short name."""
        answer = await self.ask({"call": {"method": method, "params": dict(params)}})
        return dict(answer["result"])

    async def send(self, room_id: int, text: str, request_id: str = "") -> Frame:
        """The `sent` that answers."""
        body = {"roomId": str(room_id), "requestId": request_id or str(uuid.uuid4()), "text": text}
        return dict((await self.ask({"send": body}))["sent"])

    async def until(self, wanted: Callable[[Frame], bool], seconds: float = 10.0) -> Frame:
        """The first kept frame that is wanted, also one that came before. Raises Closed, TimeoutError."""
        async with asyncio.timeout(seconds):
            seen = 0
            while True:
                for frame in self.frames[seen:]:
                    if wanted(frame):
                        return frame
                seen = len(self.frames)
                if self.lost is not None:
                    raise self.lost
                self._changed.clear()
                await self._changed.wait()

    async def event(self, room_id: int, sequence: int, seconds: float = 10.0) -> Frame:
        """The event of a room with this sequence."""
        place = (str(room_id), str(sequence))

        def wanted(frame: Frame) -> bool:
            event = frame.get("event", {})
            return (event.get("roomId"), event.get("sequence")) == place

        return dict((await self.until(wanted, seconds))["event"])

    def sequences(self, room_id: int) -> list[int]:
        """Of the events of a room, as they came."""
        events = [frame["event"] for frame in self.frames if "event" in frame]
        return [int(event["sequence"]) for event in events if event["roomId"] == str(room_id)]

    @property
    def over(self) -> asyncio.Task[None]:
        """Done when the connection is."""
        return self._reader

    async def closed(self, seconds: float = 10.0) -> Closed:
        """How it ended, once it has."""
        async with asyncio.timeout(seconds):
            await asyncio.wait([self._reader])
        assert self.lost is not None
        return self.lost

    async def end(self) -> None:
        """Closes it, if it is still open."""
        await self.transport.close()
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        lost = Closed(0, "ended by us")
        try:
            while True:
                await self._take(await self.transport.receive())
        except Closed as error:
            lost = error
        finally:
            self.lost = lost
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(lost)
                    answer.exception()  # looked at: who asked may have given up, which is no news
            self._changed.set()

    async def _take(self, frame: Frame) -> None:
        answer = self._waiting.get(frame.get("id", 0))
        if kind_of(frame) == "ping":
            await self.transport.send({"pong": {}})
        elif answer is not None:
            if self._on_welcome is not None and "welcome" in frame:
                self._on_welcome(frame["welcome"])
            if not answer.done():
                answer.set_result(frame)
        else:
            self._on_frame(frame)
            self._changed.set()


@asynccontextmanager
async def signed_in(
    transport: Transport, token: str, cursors: Mapping[int, int] | None = None
) -> AsyncIterator[Peer]:
    """A connection that has its `welcome`, closed at the end."""
    peer = Peer(transport)
    try:
        await peer.hello(token, cursors)
        yield peer
    finally:
        await peer.end()


Connect = Callable[..., Awaitable[Peer]]
"""connect(user, wire="json", cursors={}) → a Peer that has its welcome; it is closed after the test."""
OpenTransport = Callable[[str], Awaitable[Transport]]
"""open_transport("json" | "binary" | "session") → a connection that has not said hello."""
