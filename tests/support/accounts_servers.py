"""auth and user as real gRPC servers on memory stores, each reached through a real channel."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from chassis.caller import Caller
from chassis.config import ProcessSettings
from chassis.errors import TokenInvalid
from chassis.grpc_server import GrpcService, serve_grpc
from chassis.paging import PageTokens
from chassis.run import Process
from chassis.status import STATUS_KEY
from chassis.tokens import TokenVerifier
from services.auth import api as auth_api
from services.auth.origin import Origins
from services.user import api as user_api
from services.user.memory import MemoryProfileStore
from services.user.use_cases.directory import Directory
from services.user.use_cases.profiles import Profiles
from tests.support.auth_world import World

CREDENTIAL = "internal-secret-of-this-test"
Metadata = tuple[tuple[str, str], ...]
INTERNAL: Metadata = (("x-polychat-internal", CREDENTIAL),)

StubT = TypeVar("StubT")


@dataclass
class OneStub(Generic[StubT]):
    """What discovery's client is, with a channel that never changes."""

    stub: StubT


class UserTokens:
    """Takes `user-7` for an access token of user 7; everything else is none."""

    async def verify(self, token: str) -> Caller:
        kind, _, number = token.partition("-")
        if kind != "user":
            raise TokenInvalid
        return Caller(int(number), 1, token, time.time() + 900)


def bearer(token: str) -> Metadata:
    """The metadata of a user's call."""
    return (("authorization", f"Bearer {token}"),)


@asynccontextmanager
async def serving(
    folder: Path, services: Sequence[GrpcService], verifier: Any
) -> AsyncIterator[grpc.aio.Channel]:
    """A server for the services, and a channel to it."""
    secret = folder / "internal.credential"
    secret.write_text(CREDENTIAL + "\n")
    settings = ProcessSettings(
        instance="test-1",
        grpc_port=0,
        consul_addr="http://127.0.0.1:1",
        internal_credential_file=secret,
        drain_seconds=0.2,
    )
    async with (
        serve_grpc(Process("test", settings), services, verifier) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield channel


@asynccontextmanager
async def auth_server(folder: Path, world: World) -> AsyncIterator[grpc.aio.Channel]:
    """auth of this world, which checks its own access tokens with its own keys."""
    origins = Origins(CREDENTIAL)
    api = auth_api.AuthApi(world.registration, world.login_case, world.sessions, world.keys, origins)
    services = auth_api.grpc_services(api, auth_api.SessionDirectoryApi(world.sessions))
    verifier = TokenVerifier(world.keys.published, clock=world.clock.seconds)
    async with serving(folder, services, verifier) as channel:
        yield channel


@asynccontextmanager
async def user_server(folder: Path) -> AsyncIterator[grpc.aio.Channel]:
    """The user service with nobody in it."""
    store = MemoryProfileStore()
    profiles = Profiles(store, lambda: datetime(2026, 3, 1, tzinfo=UTC))
    directory = Directory(store, PageTokens(b"p" * 32))
    services = user_api.grpc_services(
        user_api.UserApi(profiles, directory), user_api.ProfileDirectoryApi(profiles)
    )
    async with serving(folder, services, UserTokens()) as channel:
        yield channel


@dataclass(frozen=True)
class Refusal:
    """The rich status of a refused call, every part of it."""

    code: str
    reason: str
    domain: str
    metadata: dict[str, str]
    fields: tuple[str, ...] = ()
    retry_seconds: float | None = None


async def refusal(call: Callable[[], Any]) -> Refusal:
    """How a call was refused. Raises AssertionError when it was not, or without exactly one ErrorInfo."""
    try:
        await call()
    except grpc.aio.AioRpcError as error:
        raw = dict(error.trailing_metadata() or ())[STATUS_KEY]
        assert isinstance(raw, bytes)
        return _read(error.code().name, status_pb2.Status.FromString(raw))
    raise AssertionError("the call was not refused")


def _read(code: str, status: status_pb2.Status) -> Refusal:
    found: Refusal | None = None
    fields: tuple[str, ...] = ()
    retry: float | None = None
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        wait = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            assert found is None, "two ErrorInfo"
            found = Refusal(code, info.reason, info.domain, dict(info.metadata))
        elif detail.Unpack(bad):
            fields = tuple(violation.field for violation in bad.field_violations)
        elif detail.Unpack(wait):
            retry = wait.retry_delay.ToMilliseconds() / 1000
    assert found is not None, "no ErrorInfo"
    return replace(found, fields=fields, retry_seconds=retry)
