"""The user service's composition root: opens what it stands on, wires the use cases, serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from polychat.auth.v1.auth_service_pb2_grpc import AuthServiceStub

from chassis import logs, postgres
from chassis.grpc_server import serve_grpc
from chassis.paging import PageTokens
from chassis.postgres import open_pool
from chassis.run import Process
from chassis.tokens import TokenVerifier, jwks_from_auth
from discovery import open_discovery
from services.user.api import ProfileDirectoryApi, UserApi, grpc_services
from services.user.config import UserLiveSettings, UserSettings
from services.user.store import PostgresProfileStore
from services.user.use_cases.directory import Directory
from services.user.use_cases.profiles import Profiles


@asynccontextmanager
async def app(settings: UserSettings, process: Process[UserSettings]) -> AsyncIterator[None]:
    """Serves until the block ends. Fails when PostgreSQL is away at the start.

    It does not wait for auth to be ready: auth needs it for registrations, and one of the two must be first.
    """
    async with (
        open_pool(
            settings.postgres_dsn.get_secret_value(),
            size=settings.postgres_pool,
            application_name=settings.instance,
        ) as pool,
        open_discovery(process) as discovery,
    ):
        live = discovery.live_settings(UserLiveSettings)
        live.subscribe(lambda values: logs.set_level(values.log_level))
        store = PostgresProfileStore(pool)
        profiles = Profiles(store, lambda: datetime.now(UTC))
        directory = Directory(store, PageTokens(settings.page_token_key))
        services = grpc_services(UserApi(profiles, directory), ProfileDirectoryApi(profiles))
        verifier = TokenVerifier(jwks_from_auth(discovery.client("auth", AuthServiceStub)))
        process.readiness.add("postgres", lambda: postgres.check(pool))
        async with serve_grpc(process, services, verifier) as server:
            await discovery.register("user", server.port)
            yield
