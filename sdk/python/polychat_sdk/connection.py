"""One WebSocket after the other: hello, replies by id, resume with cursors, reconnect with backoff."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable

from google.protobuf.message import DecodeError
from polychat.edge.v1 import client_frame_pb2, server_frame_pb2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Subprotocol

from polychat_sdk.backoff import Backoff
from polychat_sdk.errors import Disconnected, PolychatError, Stopped
from polychat_sdk.room_log import RoomLog
from polychat_sdk.tokens import Tokens

ClientFrame = client_frame_pb2.ClientFrame
ServerFrame = server_frame_pb2.ServerFrame
SUBPROTOCOL = Subprotocol("polychat.v1.proto")
HELLO_SECONDS = 10.0
MAX_FRAME_BYTES = 8 * 1024 * 1024
MISSED_HEARTBEATS = 2
"""A server that says nothing for so many heartbeats is not there any more, whatever TCP believes."""
CLOSED = 1000
UNAUTHENTICATED = 4200
TOKEN_EXPIRED = 4101


class Connection:
    """Keeps one connection alive. `on_frame` gets every `welcome` and all frames but replies, in order."""

    def __init__(
        self,
        url: str,
        tokens: Tokens,
        *,
        log: RoomLog,
        on_frame: Callable[[server_frame_pb2.ServerFrame], None],
        client: str,
    ) -> None:
        self._url = url
        self._tokens = tokens
        self._log = log
        self._on_frame = on_frame
        self._client = client
        self._socket: ClientConnection | None = None
        self._open = asyncio.Event()
        self._ended: Stopped | None = None
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[server_frame_pb2.ServerFrame]] = {}
        """Requests of this connection without their reply; a cancelled one is of somebody who gave up."""
        self._wait_told: float | None = None
        self._fresh_token = False
        self._silence_seconds = HELLO_SECONDS

    async def run(self) -> None:
        """Connects again and again. Raises Stopped when the server says that it is no use (42xx)."""
        try:
            await self._reconnect()
        except Stopped as stopped:
            self._ended = stopped
            raise
        finally:
            # Whatever ended it, nobody waits any longer for a connection.
            self._ended = self._ended or Stopped(CLOSED, "this client was closed")
            self._open.set()

    async def _reconnect(self) -> None:
        backoff = Backoff()
        while True:
            started = time.monotonic()
            try:
                await self._once()
            except Stopped:
                raise
            except (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError, DecodeError):
                pass  # the next attempt is the answer
            except PolychatError as error:
                if error.reason == "TOKEN_EXPIRED":
                    self._fresh_token = True
                elif not error.retryable:
                    raise Stopped(UNAUTHENTICATED, error.message) from error
                self._wait_told = error.retry_after
            finally:
                self._lost()
            backoff.lasted(time.monotonic() - started)
            told, self._wait_told = self._wait_told, None
            await asyncio.sleep(backoff.next(told))

    async def opened(self) -> None:
        """Waits until the connection is there. Raises Stopped when it will not come any more."""
        await self._open.wait()
        if self._ended is not None:
            raise self._ended

    async def ask(self, frame: client_frame_pb2.ClientFrame) -> server_frame_pb2.ServerFrame:
        """Sends a frame and gives its one reply. Raises PolychatError, Disconnected, Stopped."""
        await self.opened()
        socket = self._socket
        if socket is None:
            raise Disconnected
        reply = self._expect(frame)
        try:
            await socket.send(frame.SerializeToString())
            answer: server_frame_pb2.ServerFrame = await reply
        except ConnectionClosed as error:
            self._no_use(socket)
            raise Disconnected from error
        finally:
            reply.cancel()
        if answer.HasField("error"):
            raise PolychatError.of_frame(answer.error)
        return answer

    def _expect(self, request: client_frame_pb2.ClientFrame) -> asyncio.Future[server_frame_pb2.ServerFrame]:
        """Gives a request its id. Its one reply is known as such even when nobody waits for it any more."""
        request.id = next(self._ids)
        reply = self._replies[request.id] = asyncio.get_running_loop().create_future()
        return reply

    async def tell(self, frame: client_frame_pb2.ClientFrame) -> None:
        """Sends a frame that wants no reply; nothing happens when the connection is away."""
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(frame.SerializeToString())

    async def _once(self) -> None:
        async with connect(
            self._url,
            subprotocols=[SUBPROTOCOL],
            compression=None,
            max_size=MAX_FRAME_BYTES,
            ping_interval=None,
        ) as socket:
            try:
                async with asyncio.timeout(HELLO_SECONDS):
                    welcome = await self._hello(socket)
                self._socket = socket
                self._open.set()
                self._on_frame(welcome)
                while True:
                    async with asyncio.timeout(self._silence_seconds):
                        raw = await socket.recv()
                    await self._take(_frame(raw))
            finally:
                self._closed(socket)

    async def _hello(self, socket: ClientConnection) -> server_frame_pb2.ServerFrame:
        fresh, self._fresh_token = self._fresh_token, False
        hello = ClientFrame(id=next(self._ids))
        hello.hello.access_token = await self._tokens.access_token(fresh=fresh)
        hello.hello.client = self._client
        hello.hello.log_epoch = self._log.epoch
        for room_id, sequence in self._log.named().items():
            hello.hello.rooms.add(room_id=room_id, sequence=sequence)
        await socket.send(hello.SerializeToString())
        frame = _frame(await socket.recv())
        if frame.HasField("error"):
            raise PolychatError.of_frame(frame.error)
        if frame.welcome.HasField("heartbeat"):
            self._silence_seconds = MISSED_HEARTBEATS * frame.welcome.heartbeat.ToTimedelta().total_seconds()
        return frame

    async def _take(self, frame: server_frame_pb2.ServerFrame) -> None:
        waiting = self._replies.pop(frame.id, None)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result(frame)
        elif frame.HasField("ping"):
            await self.tell(ClientFrame(pong=client_frame_pb2.ClientFrame().pong))
        elif frame.HasField("goaway"):
            self._wait_told = frame.goaway.reconnect_after.ToTimedelta().total_seconds()
        elif frame.HasField("token_expiring"):
            refresh = ClientFrame()
            refresh.refresh.access_token = await self._tokens.access_token(fresh=True)
            # Refused, the connection ends with the token that it has, and the next begins with a fresh one.
            self._expect(refresh).cancel()
            await self.tell(refresh)
        else:
            self._on_frame(frame)

    def _closed(self, socket: ClientConnection) -> None:
        code = socket.close_code or 1006
        if 4200 <= code < 4300:
            raise Stopped(code, socket.close_reason or "")
        self._fresh_token = code == TOKEN_EXPIRED

    def _no_use(self, socket: ClientConnection) -> None:
        """Whoever asks from now on waits for the next connection. The reader may be busy with what was read
        before and see the end later: until then answers that had come by may still be taken."""
        if self._socket is socket:
            self._socket = None
            self._open.clear()

    def _lost(self) -> None:
        self._socket = None
        self._open.clear()
        replies, self._replies = self._replies, {}
        for reply in replies.values():
            if not reply.done():
                reply.set_exception(Disconnected())


def _frame(raw: str | bytes) -> server_frame_pb2.ServerFrame:
    return ServerFrame.FromString(raw if isinstance(raw, bytes) else raw.encode())
