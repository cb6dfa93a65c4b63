"""The face of the SDK: rooms, messages and events of one signed-in user."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from polychat.chat.v1 import messaging_service_pb2
from polychat.edge.v1 import client_frame_pb2, server_frame_pb2
from polychat.event.v1 import room_event_pb2

from polychat_sdk.calls import RESEND_SECONDS, Calls
from polychat_sdk.connection import Connection
from polychat_sdk.errors import Disconnected, PolychatError, Stopped
from polychat_sdk.room_log import FROM_FIRST, RoomLog, Verdict
from polychat_sdk.tokens import Tokens, login

CLIENT = "polychat-python/0.1"
EVENT_QUEUE = 10_000
"""Events waiting for `events()`. What comes while a reader is slower than that is fetched when there is room:
the socket is read on, since the reader may be waiting for the reply to a request of its own."""
OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
PAGES_AT_ONCE = 8
"""Of rooms of which something was missed; the server takes so many requests and more at a time, 32 in all."""


@asynccontextmanager
async def sign_in(url: str, username: str, password: str, *, device_name: str = "") -> AsyncIterator[Chat]:
    """Signs in with a password and stays connected until the block ends, and with it the session."""
    tokens = await login(url, username, password, device_name=device_name)
    try:
        async with Chat(url, tokens) as chat:
            yield chat
    finally:
        # Left standing without anybody who has its tokens, it would in turn end the user's oldest one.
        try:
            with contextlib.suppress(PolychatError):
                await tokens.logout()
        finally:
            await tokens.close()


class Chat(Calls):
    """A connected user. Use as `async with Chat(url, tokens) as chat`.

    `on_reset` is called by `events()` with a room whose events so far are void, because the server was
    restored from a backup; all of the room's events follow, from the first one on.
    """

    def __init__(
        self, url: str, tokens: Tokens, *, on_reset: Callable[[int], None] = lambda _room_id: None
    ) -> None:
        self.user = tokens.user
        self._on_reset = on_reset
        self.log = RoomLog()
        super().__init__(
            Connection(
                f"{url.rstrip('/').replace('http', 'ws', 1)}/ws",
                tokens,
                log=self.log,
                on_frame=self._on_frame,
                client=CLIENT,
            )
        )
        # A room id: what came of it before is void. None: no more will come.
        self._events: asyncio.Queue[room_event_pb2.RoomEvent | int | None] = asyncio.Queue()
        self._taken = asyncio.Event()
        """Something was taken out of it."""
        self._sending: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._filling: dict[int, asyncio.Task[None]] = {}
        self._paging = asyncio.Semaphore(PAGES_AT_ONCE)
        self._listing: asyncio.Task[None] | None = None
        """Reads the rooms that the last welcome had no place for."""
        self._begun = False
        """All rooms of the user have begun: one that turns up later was joined since."""
        self._entered = asyncio.Event()
        """Events are to be taken from here on: all rooms have begun, the queue is full, or no more come."""
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Chat:
        self._running = asyncio.create_task(self._run())
        try:
            await self._connection.opened()
            await self._entered.wait()
            await self._connection.opened()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for task in (self._running, self._listing, *self._filling.values()):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, PolychatError):
                    await task

    async def send(
        self, room_id: int, text: str, *, request_id: str | None = None, reply_to_message_id: int = 0
    ) -> messaging_service_pb2.SendMessageResponse:
        """Sends a message and returns when it is committed.

        Goes on over lost connections and unknown outcomes with the same request id, so the message is
        there once. The messages of a room leave one after the other, in the order of the calls.

        Raises PolychatError when the server refuses it; then nothing was stored. But a refusal that comes
        after an attempt without an answer is not definite: that one may have been stored, or be about to be,
        and its sender removed from the room since. It is raised as UNAVAILABLE / OUTCOME_UNKNOWN, with the
        refusal as its cause and the request id in `metadata["requestId"]`. Sending the same again with that
        id is always safe, and what it returns is the answer; what refuses it says no more than before,
        although it looks definite to a call of its own. Whoever may read the room finds the message, if there
        is one, by the `request_id` of its event.

        Just as little is known when this is cancelled, or raises Stopped because the connection ended for
        good: so give a request id of your own where it matters.
        """
        request = messaging_service_pb2.SendMessageRequest(
            room_id=room_id,
            request_id=request_id or str(uuid.uuid4()),
            text=text,
            reply_to_message_id=reply_to_message_id,
        )
        unanswered = False
        async with self._sending[room_id]:
            while True:
                try:
                    return (await self._connection.ask(client_frame_pb2.ClientFrame(send=request))).sent
                except Disconnected:
                    unanswered = True
                except PolychatError as error:
                    if not error.retryable:
                        if unanswered and not _is_definite(error):
                            raise _unknown(request.request_id, error) from error
                        raise
                    unanswered = unanswered or error.reason == OUTCOME_UNKNOWN
                    await asyncio.sleep(error.retry_after or RESEND_SECONDS)

    async def events(self) -> AsyncIterator[room_event_pb2.RoomEvent]:
        """Every event of the user's rooms from now on, per room in order, none missing, none twice.

        Raises Stopped when the connection has ended for good.
        """
        while (event := await self._events.get()) is not None:
            self._taken.set()
            if isinstance(event, int):
                self._on_reset(event)
                continue
            yield event
        self._events.put_nowait(None)
        await self._connection.opened()

    async def _run(self) -> None:
        try:
            await self._connection.run()
        except Exception:  # whoever waits for events is woken first
            self._entered.set()
            self._events.put_nowait(None)
            raise

    def _on_frame(self, frame: server_frame_pb2.ServerFrame) -> None:
        body = frame.WhichOneof("body")
        if body == "welcome":
            self._on_welcome(frame.welcome)
        elif body == "event":
            self._on_event(frame.event)
        elif body == "skip":
            skip = frame.skip
            if self.log.skip(skip.room_id, skip.from_sequence, skip.to_sequence) is Verdict.FETCH:
                self._fill(skip.room_id)
        elif body == "gap":
            if frame.gap.reset and self.log.cursors().get(frame.gap.room_id):
                self._void([frame.gap.room_id])
            self.log.gap(frame.gap.room_id, frame.gap.head_sequence, reset=frame.gap.reset)
            self._fill(frame.gap.room_id)

    def _on_welcome(self, welcome: server_frame_pb2.Welcome) -> None:
        if self._listing is not None:
            self._listing.cancel()
        told = [room.room_id for room in welcome.rooms]
        self._void(self.log.restored(welcome.log_epoch, told, welcome.reset_room_ids))
        for room in welcome.rooms:
            self._begin(room.room_id, room.head_sequence, room.joined_sequence)
        if welcome.rooms_truncated:
            self._listing = asyncio.create_task(self._begin_rest())
        else:
            self._begin_no_more()

    async def _begin_rest(self) -> None:
        """Begins the rooms that a welcome had no place for, which ListRooms has. Who is active while it is
        read may move out of its pages; but then there is an event, and it begins the room as well."""
        while True:
            try:
                async for rooms in self._room_pages():
                    for room in rooms:
                        self._begin(room.room_id, room.head_sequence, FROM_FIRST)
            except Stopped:
                return
            except PolychatError:
                await asyncio.sleep(RESEND_SECONDS)
            else:
                self._begin_no_more()
                return

    def _begin_no_more(self) -> None:
        self._begun = True
        self._entered.set()

    def _begin(self, room_id: int, head: int, joined_sequence: int) -> None:
        joined = joined_sequence if self._begun else 0
        if self.log.begin(room_id, head, joined) is Verdict.FETCH:
            self._fill(room_id)

    def _on_event(self, event: room_event_pb2.RoomEvent) -> None:
        if not self.log.knows(event.room_id) and not self._is_joining(event):
            self._begin(event.room_id, event.sequence - 1, FROM_FIRST)
        verdict = self.log.judge(event.room_id, event.sequence, later=self._is_full())
        if verdict is Verdict.APPLY:
            self._events.put_nowait(event)
        elif verdict is Verdict.FETCH:
            self._fill(event.room_id)

    def _is_full(self) -> bool:
        full = self._events.qsize() >= EVENT_QUEUE
        if full:
            self._entered.set()
        return full

    def _is_joining(self, event: room_event_pb2.RoomEvent) -> bool:
        return event.member_joined.membership.user_id == self.user.user_id

    def _void(self, room_ids: Sequence[int]) -> None:
        """Whoever reads events is told in their order. A page that is under way is of the log before."""
        for room_id in room_ids:
            filling = self._filling.pop(room_id, None)
            if filling is not None:
                filling.cancel()
            self._events.put_nowait(room_id)

    def _fill(self, room_id: int) -> None:
        filling = self._filling.get(room_id)
        if filling is None or filling.done():  # what has just ended does not look again
            task = self._filling[room_id] = asyncio.create_task(self._page(room_id))
            task.add_done_callback(lambda done: self._filled(room_id, done))

    def _filled(self, room_id: int, task: asyncio.Task[None]) -> None:
        if self._filling.get(room_id) is task:
            del self._filling[room_id]

    async def _page(self, room_id: int) -> None:
        while True:
            async with self._paging:
                asked = self.log.wanted(room_id)
                try:
                    page = await self.list_events(room_id, self.log.cursors()[room_id])
                except PolychatError:
                    # Refused, as to somebody who left; should events still come, the next one tries again.
                    if self.log.wanted(room_id) > asked:
                        continue  # one came meanwhile
                    return
                by_sequence = {event.sequence: event for event in page.events}
                for sequence in self.log.paged(room_id, by_sequence):
                    while self._is_full():
                        self._taken.clear()
                        await self._taken.wait()
                    self._events.put_nowait(by_sequence[sequence])
            if self.log.filled(room_id, last_page=not page.next_page_token, asked=asked):
                return


def _is_definite(error: PolychatError) -> bool:
    """Whether it says something of the attempts before, too: an id that another message has was never this
    one's. Stopped is no answer at all, and told as it is."""
    return isinstance(error, Stopped) or error.reason == "REQUEST_ID_REUSED"


def _unknown(request_id: str, refusal: PolychatError) -> PolychatError:
    text = f"an attempt was not answered, and the next one refused ({refusal})"
    return PolychatError(
        "UNAVAILABLE", OUTCOME_UNKNOWN, text, retryable=True, metadata={"requestId": request_id}
    )
