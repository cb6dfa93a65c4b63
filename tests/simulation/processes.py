"""The product's own processes on the simulation: their real `app()`, with twins where the outside begins."""

from __future__ import annotations

import asyncio
import random
import tempfile
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pydantic import SecretStr

import edge.app
import edge.edge
import services.chat.app
import services.message.app
import services.message.consumer
from chassis.caller import Caller
from chassis.errors import TokenInvalid
from chassis.run import Process
from edge.config import EdgeSettings
from edge.http import HttpConnection
from edge.peer import Peer
from services.chat.attached import Edge as HubEdge
from services.chat.config import ChatSettings
from services.message.config import MessageSettings
from tests.simulation import limits
from tests.simulation.loop import current_node
from tests.simulation.sockets import Listener
from tests.simulation.twins import consul, consumers, kafka, postgres, redis, servers

if TYPE_CHECKING:
    from tests.simulation.world import World

EPOCH = 1_767_225_600.0
"""2026-01-01T00:00:00Z: the time of day when the loop's clock stands at 0."""
FOREVER = 4_000_000_000.0
SESSION_SECONDS = 6.0


class Verifier:
    """chassis.tokens.TokenVerifier: knows `token-<user>`."""

    def __init__(self, *_arguments: object) -> None:
        """Needs no keys."""

    async def verify(self, token: str) -> Caller:
        """Raises TokenInvalid."""
        return self.verify_cached(token)

    def verify_cached(self, token: str) -> Caller:
        """Raises TokenInvalid."""
        name, _, user = token.partition("-")
        if name != "token":
            raise TokenInvalid
        return Caller(int(user), 10_000 + int(user), token, FOREVER)

    def problem(self) -> str | None:
        """For readiness."""
        return None


class _Users:
    """services.chat.peers.UserPeer: everybody exists."""

    def __init__(self, *_arguments: object) -> None:
        """Asks nobody."""

    async def missing(self, _caller: Caller, _user_ids: object) -> list[int]:
        """See ports.Users."""
        return []


class _DeadLetters:
    """services.message.dead_letters.DeadLetterTopic: a record that cannot be read is a bug here."""

    def __init__(self, *_arguments: object) -> None:
        """Copies nothing."""

    def offer(self, letters: Any) -> None:
        """See DeadLetterTopic."""
        raise AssertionError(f"a dead letter: {letters}")

    async def run(self) -> None:
        """See DeadLetterTopic."""
        await asyncio.Event().wait()


class _Seeded:
    """The module `uuid` with random ones from the seed."""

    def __init__(self, chance: random.Random) -> None:
        self.UUID = uuid.UUID
        self._chance = chance

    def uuid4(self) -> uuid.UUID:
        """See uuid."""
        return uuid.UUID(int=self._chance.getrandbits(128), version=4)


@cache
def secret_file() -> Path:
    """A file with a secret that all processes share."""
    folder = Path(tempfile.mkdtemp(prefix="polychat-simulation-"))
    path = folder / "secret"
    path.write_text("the-secret-of-all-simulated-processes")
    return path


def settings_of(kind: str, name: str, changed: dict[str, Any]) -> Any:
    """The settings of a process; what is not said has its default."""
    common: dict[str, Any] = {
        "instance": name,
        "grpc_port": 0,
        "consul_addr": "http://127.0.0.1:1",
        "internal_credential_file": secret_file(),
        "page_token_key_file": secret_file(),
        "postgres_dsn": SecretStr("postgresql://u:p@h:1/d"),
        "kafka_bootstrap": "h:1",
        "redis_url": SecretStr("redis://h:1/0"),
        "drain_seconds": 4.0,
    }
    types: dict[str, Any] = {"chat": ChatSettings, "message": MessageSettings, "edge": EdgeSettings}
    model = types[kind]
    values = {field: value for field, value in (common | changed).items() if field in model.model_fields}
    return model.model_construct(**values)


PLACES: dict[type, Any] = {
    Peer: lambda peer: peer.connection.connection_id,
    HttpConnection: lambda connection: zlib.crc32(connection._address.encode()),
    HubEdge: lambda hub_edge: zlib.crc32(hub_edge.name.encode()),
}
"""What the product keeps in sets, by what stands for its address there: addresses differ from run to run."""
APPS: dict[str, Any] = {"chat": services.chat.app, "message": services.message.app, "edge": edge.app}


async def run_process(kind: str, name: str, process: Process[Any]) -> None:
    """One process from its start to the end of its drain."""
    async with APPS[kind].app(process.settings, process):
        await process.draining.wait()


def _replaced(world: World, seeded: Any) -> dict[ModuleType, dict[str, Any]]:
    """By module of the product, the twin behind each name of the outside."""
    loop = world.loop

    @asynccontextmanager
    async def open_pool(_dsn: str, **_options: object) -> AsyncIterator[postgres.Pool]:
        await asyncio.sleep(world.network.delay())
        yield postgres.Pool(world.postgres)

    async def listen(_host: str, _port: int) -> Listener:
        return Listener(world.network, current_node())

    shared: dict[str, Any] = {
        "open_discovery": lambda process: consul.open_discovery(world.consul, process),
        "serve_grpc": servers.serve_grpc,
        "TokenVerifier": Verifier,
    }
    return {
        services.chat.app: shared
        | {
            "open_pool": open_pool,
            "PostgresRoomStore": postgres.RoomStore,
            "PostgresOutbox": postgres.Outbox,
            "KafkaProducers": lambda _bootstrap, _client: kafka.Producers(world.broker),
            "UserPeer": _Users,
            "uuid": seeded,
            "_clock": loop.time,
            "_now": lambda: datetime.fromtimestamp(EPOCH, UTC) + timedelta(seconds=loop.time()),
        },
        services.message.app: shared
        | {
            "open_pool": open_pool,
            "PostgresLogReader": postgres.LogReader,
            "PostgresLogWriter": postgres.LogWriter,
            "PostgresReceipts": postgres.Receipts,
            "DeadLetterTopic": _DeadLetters,
        },
        services.message.consumer: {
            "log_client": lambda settings: consumers.Consumer(world.group, settings.instance)
        },
        edge.app: shared,
        edge.edge: {"listen": listen},
    }


@contextmanager
def outside_replaced(world: World) -> Iterator[None]:
    """While this lasts the product's modules find the twins where they look for the outside."""
    loop = world.loop
    seeded: Any = _Seeded(random.Random(world.seed))
    client = type("Client", (redis.Client,), {"server": world.redis})
    with ExitStack() as patches:
        for module, names in _replaced(world, seeded).items():
            for attribute, value in names.items():
                patches.enter_context(patch.object(module, attribute, value))
        for type_, key in PLACES.items():
            patches.enter_context(patch.object(type_, "__hash__", key))
        patches.enter_context(patch("redis.asyncio.Redis", client))
        patches.enter_context(patch("time.time", lambda: EPOCH + loop.time()))
        patches.enter_context(patch("time.time_ns", lambda: int((EPOCH + loop.time()) * 1e9)))
        patches.enter_context(patch("time.monotonic", loop.time))
        patches.enter_context(patch("uuid.uuid4", seeded.uuid4))
        patches.enter_context(limits.counted(world.journal.seen))
        if world.small:
            patches.enter_context(limits.small())
        patches.enter_context(patch.dict("os.environ", {"no_proxy": "*"}))
        yield
