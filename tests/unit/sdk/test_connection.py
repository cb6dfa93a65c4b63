"""Each request has one answer, also one whose asker has gone; whatever else comes is nobody's answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat_sdk import connection as sdk
from polychat_sdk.backoff import Backoff
from polychat_sdk.errors import Disconnected
from polychat_sdk.room_log import RoomLog
from websockets.exceptions import ConnectionClosedError


class Server:
    """The far end of one WebSocket after the other."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[ClientFrame] = asyncio.Queue()
        self.close_code: int | None = None
        self.close_reason = ""
        self._said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._gone = False

    @contextlib.asynccontextmanager
    async def connect(self, *_url: str, **_options: Any) -> AsyncIterator[Server]:
        """As of websockets: a socket, which is this object seen from the client."""
        self._gone = False
        yield self

    async def send(self, data: bytes) -> None:
        """The client says something. Raises ConnectionClosedError, at once, when it was cut."""
        if self._gone:
            raise ConnectionClosedError(None, None)
        self.asked.put_nowait(ClientFrame.FromString(data))

    async def recv(self) -> bytes:
        """What the client hears. Raises ConnectionClosedError when it was cut."""
        data = await self._said.get()
        if data is None:
            raise ConnectionClosedError(None, None)
        return data

    async def greet(self) -> None:
        """Takes a hello."""
        hello = await self.asked.get()
        welcome = ServerFrame(id=hello.id)
        welcome.welcome.heartbeat.FromSeconds(25)
        self.say(welcome)

    def say(self, frame: ServerFrame) -> None:
        """Sends a frame to the client."""
        self._said.put_nowait(frame.SerializeToString())

    def answer(self, request: ClientFrame, reason: str) -> None:
        """Answers with an error."""
        frame = ServerFrame(id=request.id)
        frame.error.reason = reason
        self.say(frame)

    def cut(self) -> None:
        """Ends the connection; the next one is as good."""
        self._gone = True
        self._said.put_nowait(None)


class Client:
    """The SDK's connection and what it passes on."""

    def __init__(self) -> None:
        self.passed: asyncio.Queue[ServerFrame] = asyncio.Queue()
        self.tokens = _Tokens()
        tokens: Any = self.tokens
        self.connection = sdk.Connection(
            "ws://edge/ws", tokens, log=RoomLog(), on_frame=self.passed.put_nowait, client="test"
        )

    async def seen(self, server: Server) -> list[str]:
        """The reasons of the errors that were passed on up to now, in order."""
        marker = ServerFrame()
        marker.typing.room_id = 1
        server.say(marker)
        reasons = []
        while not (frame := await self.passed.get()).HasField("typing"):
            if frame.HasField("error"):
                reasons.append(frame.error.reason)
        return reasons


class _Tokens:
    """polychat_sdk.Tokens with one token."""

    user: Any = None

    def __init__(self) -> None:
        self.renewing = asyncio.Event()
        self.renewed = asyncio.Event()
        """While it is not set, a fresh token takes its time."""
        self.renewed.set()

    async def access_token(self, *, fresh: bool = False) -> str:
        """See Tokens."""
        if fresh:
            self.renewing.set()
            await self.renewed.wait()
        return "fresh" if fresh else "token"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """What the SDK connects to."""
    server = Server()
    monkeypatch.setattr(sdk, "connect", server.connect)
    monkeypatch.setattr(Backoff, "next", lambda _self, _told: 0.0)
    return server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    """A client with its first welcome."""
    client = Client()
    running = asyncio.create_task(client.connection.run())
    await server.greet()
    await client.connection.opened()
    yield client
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _given_up(client: Client, server: Server) -> ClientFrame:
    """A request whose asker stopped waiting, as with a timeout."""
    asking = asyncio.create_task(client.connection.ask(_call()))
    request = await server.asked.get()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    return request


def _call() -> ClientFrame:
    frame = ClientFrame()
    frame.call.method = "polychat.chat.v1.MembershipService/JoinRoom"
    return frame


def _warning() -> ServerFrame:
    warning = ServerFrame()
    warning.token_expiring.expires_in.FromSeconds(60)
    return warning


async def test_an_answer_after_its_asker_gave_up_is_dropped(server: Server, client: Client) -> None:
    """It answers a request all the same: it is not passed on as a frame that nobody asked for."""
    server.answer(await _given_up(client, server), "DEADLINE_EXCEEDED")
    assert await client.seen(server) == []


async def test_a_second_answer_is_passed_on(server: Server, client: Client) -> None:
    """A request has one answer, whether or not somebody still waits for it; another is nobody's."""
    asking = asyncio.create_task(client.connection.ask(_call()))
    request = await server.asked.get()
    server.say(ServerFrame(id=request.id, result_message=b""))
    assert (await asking).id == request.id
    server.answer(request, "ANSWERED_TWICE")
    given_up = await _given_up(client, server)
    server.answer(given_up, "LATE")
    server.answer(given_up, "LATE_AND_TWICE")
    assert await client.seen(server) == ["ANSWERED_TWICE", "LATE_AND_TWICE"]


async def test_the_next_connection_owes_no_answers_of_the_last(server: Server, client: Client) -> None:
    """What was not answered before a cut never is; who still waits is told, and nothing is kept."""
    given_up = await _given_up(client, server)
    asking = asyncio.create_task(client.connection.ask(_call()))
    await server.asked.get()
    server.cut()
    with pytest.raises(Disconnected):
        await asking
    await server.greet()
    server.answer(given_up, "OF_BEFORE")
    assert await client.seen(server) == ["OF_BEFORE"]


async def test_the_answer_to_a_refresh_is_not_passed_on(server: Server, client: Client) -> None:
    """The SDK asked for it by itself. The token it has goes on until it ends."""
    server.say(_warning())
    refresh = await server.asked.get()
    assert refresh.refresh.access_token == "fresh"
    server.answer(refresh, "BACKEND_UNAVAILABLE")
    assert await client.seen(server) == []


async def test_a_cut_that_the_reader_does_not_see_yet_lets_nobody_ask_in_vain(
    server: Server, client: Client
) -> None:
    """The reader renews the token when the line breaks. The first to send finds out; who asks after that
    waits for the next connection, instead of trying this one for ever without letting anybody else run."""
    client.tokens.renewed.clear()
    server.say(_warning())
    await client.tokens.renewing.wait()
    server.cut()
    with pytest.raises(Disconnected):
        await client.connection.ask(_call())
    asking = asyncio.create_task(client.connection.ask(_call()))
    client.tokens.renewed.set()
    await server.greet()
    request = await server.asked.get()
    server.say(ServerFrame(id=request.id, result_message=b""))
    assert (await asking).id == request.id


async def test_an_answer_that_came_before_the_cut_is_taken(server: Server, client: Client) -> None:
    """It was read by then, and only the reader is late: the request is not said to be without an answer."""
    client.tokens.renewed.clear()
    asking = asyncio.create_task(client.connection.ask(_call()))
    request = await server.asked.get()
    server.say(_warning())
    await client.tokens.renewing.wait()
    server.say(ServerFrame(id=request.id, result_message=b""))
    server.cut()
    with pytest.raises(Disconnected):
        await client.connection.ask(_call())
    client.tokens.renewed.set()
    assert (await asking).id == request.id
