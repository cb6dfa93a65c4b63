"""An edge in memory, for tests of the page alone: it speaks the wire contract and does harm on request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.browser.fake_api import FakeApi
from tests.browser.fake_rooms import Json, RefusedError, Room, User, World, now_text

# As the real edge sends it with every page (its host is this one, so 'self' covers the WebSocket).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
    "form-action 'self'; require-trusted-types-for 'script'"
)
STATUS = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "ALREADY_EXISTS": 409, "UNAVAILABLE": 503}


@dataclass(eq=False)
class Connection:
    """One live WebSocket and whose it is."""

    socket: web.WebSocketResponse
    user: User | None = None
    outgoing: list[Json] = field(default_factory=list)


class FakeEdge:
    """The server and what it is to do wrong."""

    def __init__(self, dist: Path) -> None:
        self.world = World()
        self.api = FakeApi(self.world, self._publish)
        self.connections: set[Connection] = set()
        self.hellos: list[Json] = []
        self.sends: list[Json] = []
        self.receipts: list[Json] = []
        self.spent: list[str] = []  # refresh tokens, in the order they came
        self.refreshed: list[str] = []  # access tokens that were given in band
        self.url = ""
        # Harm:
        self.closed = False  # answers every upgrade with 503
        self.replay_limit = 200  # events a room; more is a gap
        self.lose_events = 0  # so many live events reach nobody
        self.lose_answers = 0  # so many sends are committed and not answered
        self.refusals: list[tuple[str, str, bool]] = []  # (code, reason, retryable) for the next sends
        self.refresh_gate = asyncio.Event()  # cleared: RefreshSession is not answered
        self.refresh_gate.set()
        self._dist = dist

    def application(self) -> web.Application:
        """All routes of the real edge that the page uses."""
        app = web.Application()
        app.router.add_post("/api/{method:.+}", self._call)
        app.router.add_get("/ws", self._websocket)
        app.router.add_get("/", self._page)
        app.router.add_static("/", self._dist)
        app.on_response_prepare.append(self._guard)
        return app

    async def drop(self, code: int, user: User | None = None) -> None:
        """Closes every connection, or those of one user, with a code."""
        for connection in list(self.connections):
            if user is None or connection.user is user:
                await connection.socket.close(code=code)

    async def tell(self, frame: Json) -> None:
        """Sends a frame on every connection."""
        for connection in list(self.connections):
            await connection.socket.send_json(frame)

    async def say(self, room: Room, sender: User, text: str) -> None:
        """A message from somebody who has no browser."""
        event, _ = self.world.commit_message(room, sender, text)
        self._publish(room, event)
        await self._flush()

    async def _guard(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self._dist / "index.html")

    async def _call(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("authorization")
        token = authorization.removeprefix("Bearer ") if authorization else None
        body = await request.json()
        if request.path.endswith("/RefreshSession"):
            self.spent.append(body["refreshToken"])
            await self.refresh_gate.wait()
        try:
            answer = self.api.call(request.match_info["method"], body, token)
        except RefusedError as refused:
            info = {"type": "google.rpc.ErrorInfo", "debug": {"reason": refused.reason, "domain": "polychat"}}
            error = {"code": refused.code.lower(), "message": str(refused), "details": [info]}
            return web.json_response(error, status=STATUS[refused.code])
        await self._flush()
        return web.json_response(answer)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if self.closed:
            return web.Response(status=503)
        socket = web.WebSocketResponse(protocols=("polychat.v1.json",))
        await socket.prepare(request)
        connection = Connection(socket)
        self.connections.add(connection)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._handle(connection, json.loads(message.data))
                    await self._flush()
        finally:
            self.connections.discard(connection)
        return socket

    def _handle(self, connection: Connection, frame: Json) -> None:
        frame_id = frame.get("id", 0)
        if "hello" in frame:
            self._hello(connection, frame_id, frame["hello"])
        elif "send" in frame:
            self._send(connection, frame_id, frame["send"])
        elif "receipt" in frame:
            self._receipt(connection, frame_id, frame["receipt"])
        elif "refresh" in frame:
            self.refreshed.append(frame["refresh"]["accessToken"])
            connection.outgoing.append({"id": frame_id, "ok": {}})
        elif "ping" in frame:
            connection.outgoing.append({"pong": {}})
        elif "typing" in frame:
            self._typing(connection, frame["typing"]["roomId"])

    def _hello(self, connection: Connection, frame_id: int, hello: Json) -> None:
        self.hellos.append(hello)
        user = connection.user = self.api.caller(hello["accessToken"])
        mine = [room for room in self.world.rooms.values() if user.user_id in room.roles]
        states = [
            {
                "roomId": room.room_id,
                "headSequence": str(room.head),
                "readSequence": str(room.reads.get(user.user_id, 0)),
                "unreadCount": room.unread(user.user_id),
            }
            for room in mine
        ]
        welcome = {"connectionId": "1", "userId": user.user_id, "serverTime": now_text(), "heartbeat": "25s"}
        limits = {"frameBytes": 65536, "textBytes": 16384, "inFlight": 32}
        connection.outgoing.append({"id": frame_id, "welcome": welcome | {"limits": limits, "rooms": states}})
        cursors = {room["roomId"]: int(room.get("sequence", 0)) for room in hello.get("rooms", [])}
        for room in mine:
            if room.room_id in cursors:
                self._replay(connection, room, cursors[room.room_id])

    def _replay(self, connection: Connection, room: Room, cursor: int) -> None:
        missed = room.events[cursor:]
        if len(missed) > self.replay_limit or cursor > room.head:
            gap = {"roomId": room.room_id, "fromSequence": str(cursor + 1), "headSequence": str(room.head)}
            connection.outgoing.append({"gap": gap | ({"reset": True} if cursor > room.head else {})})
            return
        connection.outgoing.extend({"event": event} for event in missed)

    def _send(self, connection: Connection, frame_id: int, send: Json) -> None:
        self.sends.append(send)
        assert connection.user is not None
        if self.refusals:
            code, reason, retryable = self.refusals.pop(0)
            error = {"code": code, "reason": reason, "message": reason, "retryable": retryable}
            connection.outgoing.append({"id": frame_id, "error": error})
            return
        room = self.world.room_of(send["roomId"], connection.user.user_id)
        event, duplicate = self.world.commit_message(room, connection.user, send["text"], send["requestId"])
        if self.lose_answers > 0:
            self.lose_answers -= 1
            return
        message_id = event["messageCreated"]["message"]["messageId"]
        sent = {"roomId": room.room_id, "sequence": event["sequence"], "messageId": message_id}
        sent |= {"createTime": event["createTime"], "duplicate": duplicate}
        connection.outgoing.append({"id": frame_id, "sent": sent})
        if not duplicate:
            self._publish(room, event)

    def _receipt(self, connection: Connection, frame_id: int, receipt: Json) -> None:
        assert connection.user is not None
        self.receipts.append(receipt)
        room = self.world.room_of(receipt["roomId"], connection.user.user_id)
        room.reads[connection.user.user_id] = int(receipt["readSequence"])
        connection.outgoing.append({"id": frame_id, "ok": {}})

    def _typing(self, connection: Connection, room_id: str) -> None:
        assert connection.user is not None
        members = self.world.rooms[room_id].roles
        for other in self.connections - {connection}:
            if other.user is not None and other.user.user_id in members:
                signal = {"roomId": room_id, "userId": connection.user.user_id}
                other.outgoing.append({"typing": signal})

    def _publish(self, room: Room, event: Json) -> None:
        if self.lose_events > 0:
            self.lose_events -= 1
            return
        for connection in self.connections:
            if connection.user is not None and connection.user.user_id in room.roles:
                connection.outgoing.append({"event": event})

    async def _flush(self) -> None:
        for connection in list(self.connections):
            frames, connection.outgoing = connection.outgoing, []
            for frame in frames:
                await connection.socket.send_json(frame)


@asynccontextmanager
async def running_fake_edge(dist: Path, port: int) -> AsyncIterator[FakeEdge]:
    """Serves a built page and the fake behind it on a loopback port."""
    edge = FakeEdge(dist)
    runner = web.AppRunner(edge.application(), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    edge.url = f"http://localhost:{port}"
    try:
        yield edge
    finally:
        await edge.drop(1001)
        await runner.cleanup()
