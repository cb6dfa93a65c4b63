"""An edge in the test's own process, between the world behind it and WebSockets in front."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from polychat.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from polychat.internal.directory.v1.session_directory_service_pb2_grpc import SessionDirectoryServiceStub
from polychat.internal.log.v1.log_read_service_pb2_grpc import LogReadServiceStub
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chassis.health import Readiness
from chassis.telemetry import Metrics
from chassis.tokens import TokenVerifier, jwks_from_auth
from discovery import Instance
from edge.callers import Callers
from edge.config import EdgeLiveSettings, EdgeSettings
from edge.edge import Edge, Outside, open_edge
from edge.gateway import Gateway, RawCalls
from edge.log_reader import RemoteLogReader
from edge.methods import BACKENDS
from edge.peer import Peer
from edge.protocol.connection import Phase
from tests.support.edge_world import FakeChat, World, new_world, served, token
from tests.support.secret_file import any_secret_file

CREDENTIAL = (("x-polychat-internal", "secret"),)
SECONDS = 5.0
LONG_TEXT = "x" * 15_000
"""Some of these are more than a connection may have unsent."""


class FixedClient:
    """A discovery client of one channel."""

    def __init__(self, stub: Any) -> None:
        self.stub = stub


class Instances:
    """A discovery client of chat whose instances the test chooses."""

    def __init__(self) -> None:
        self.present: list[Instance] = []

    def instances(self) -> list[Instance]:
        return list(self.present)

    def connect(self, instance: Instance) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"{instance.address}:{instance.port}")


@dataclass
class Here:
    """An edge with its world."""

    world: World
    chat: FakeChat
    edge: Edge
    instances: Instances
    limits: list[EdgeLiveSettings]
    metrics: Metrics
    gateway: Gateway
    verifier: TokenVerifier
    settings: EdgeSettings

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.edge.http_port}/ws"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.edge.http_port}"

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"polychat_edge_{name}", labels) or 0.0


@asynccontextmanager
async def open_here(**overrides: Any) -> AsyncIterator[Here]:
    """An edge attached to one fake chat; `overrides` are settings."""
    values: dict[str, Any] = {
        "instance": "edge-1",
        "grpc_port": 0,
        "http_port": 0,
        "consul_addr": "http://127.0.0.1:1",
        "internal_credential_file": any_secret_file(),
        "tick_seconds": 0.02,
        "drain_seconds": 0.2,
        "web_root": Path("/nonexistent"),
    }
    settings = EdgeSettings(**{**values, **overrides})
    world = new_world()
    chat = FakeChat("chat-1", world)
    async with served(chat) as (_, instance):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{instance.port}")
        instances = Instances()
        instances.present = [instance]
        verifier = TokenVerifier(jwks_from_auth(FixedClient(AuthServiceStub(channel))))
        callers = Callers(verifier, time.time)
        gateway = Gateway({name: FixedClient(RawCalls(channel)) for name in BACKENDS}, callers, "credential")
        limits = [EdgeLiveSettings(frames_per_second=1e6, frames_burst=1e6)]
        outside = Outside(
            callers,
            gateway,
            RemoteLogReader(FixedClient(LogReadServiceStub(channel)), CREDENTIAL),
            instances,
            FixedClient(SessionDirectoryServiceStub(channel)),
            CREDENTIAL,
            lambda: limits[0],
        )
        metrics, readiness = Metrics("edge"), Readiness()
        async with open_edge(settings, outside, metrics, readiness) as edge:
            here = Here(world, chat, edge, instances, limits, metrics, gateway, verifier, settings)
            await until(lambda: edge.link.attached_to is not None)
            yield here
        await channel.close()


async def until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Returns when the condition holds; AssertionError when it does not come to."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen"
        await asyncio.sleep(0.005)


class Client:
    """A JSON client that keeps what it is sent."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.welcome: dict[str, Any] = {}
        self.id = 0

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def frame(self) -> dict[str, Any]:
        """The next frame that is no ping."""
        async with asyncio.timeout(SECONDS):
            while True:
                frame: dict[str, Any] = json.loads(await self.socket.recv())
                if "ping" not in frame:
                    return frame

    async def reply(self, request_id: int) -> dict[str, Any]:
        """The reply of this id; other frames are kept in `events`."""
        while True:
            frame = await self.frame()
            if frame.get("id") == request_id:
                return frame
            self.events.append(frame)

    async def ask(self, **body: Any) -> dict[str, Any]:
        """Sends a request and gives its reply."""
        self.id += 1
        await self.send(id=self.id, **body)
        return await self.reply(self.id)

    async def event(self) -> dict[str, Any]:
        """The next frame that is no reply."""
        return self.events.pop(0) if self.events else await self.frame()

    async def close_code(self) -> int | None:
        """Reads to the end; the close code."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(SECONDS):
                async for data in self.socket:
                    self.events.append(json.loads(data))
        return self.socket.close_code


@asynccontextmanager
async def raw_client(here: Here, **options: Any) -> AsyncIterator[Client]:
    """A socket that has not said hello."""
    options.setdefault("subprotocols", ["polychat.v1.json"])
    async with connect(here.url, compression=None, proxy=None, **options) as socket:
        yield Client(socket)


@asynccontextmanager
async def client(
    here: Here,
    user_id: int,
    rooms: dict[int, int] | None = None,
    *,
    log_epoch: int = 0,
    access_token: str = "",
    **options: Any,
) -> AsyncIterator[Client]:
    """A socket that was welcomed; `rooms` are its cursors, of the log's epoch `log_epoch`."""
    async with raw_client(here, **options) as connected:
        cursors = [{"roomId": str(room), "sequence": str(at)} for room, at in (rooms or {}).items()]
        hello: dict[str, Any] = {
            "accessToken": access_token or token(user_id),
            "client": "test",
            "rooms": cursors,
        }
        if log_epoch:
            hello["logEpoch"] = str(log_epoch)
        connected.welcome = (await connected.ask(hello=hello))["welcome"]
        yield connected


async def talk_until_closing(here: Here, peer: Peer, writer: Client) -> None:
    """User 2 talks in room 7 until the edge closes the peer, which has more unsent than it may keep."""
    while peer.connection.phase is Phase.OPEN:
        if peer.moved is None:
            here.world.say(7, 2, LONG_TEXT)
            await writer.event()
        else:
            await asyncio.sleep(0)
