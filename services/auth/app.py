"""auth's composition root: opens what it stands on, wires the use cases, serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from polychat.internal.directory.v1.profile_directory_service_pb2_grpc import ProfileDirectoryServiceStub

from chassis import logs, postgres
from chassis.errors import Failure
from chassis.grpc_server import GrpcService, serve_grpc
from chassis.postgres import Pool, open_pool
from chassis.redis import Publisher, open_redis
from chassis.run import Process
from chassis.tokens import TokenVerifier
from discovery import Discovery, LiveSettings, WorkerLease, open_discovery, snowflake_ids
from services.auth.api import AuthApi, SessionDirectoryApi, grpc_services
from services.auth.config import AuthLiveSettings, AuthSettings
from services.auth.forge import Es256Forge, derive_key
from services.auth.hints import RedisSessionHints
from services.auth.key_store import PostgresKeyStore
from services.auth.limiter import LocalLimiter, RedisLimiter
from services.auth.origin import Origins
from services.auth.passwords import Argon2Hasher, common_passwords, open_hasher
from services.auth.ports import SessionHints
from services.auth.profiles import RemoteProfiles
from services.auth.store import PostgresAccountStore, PostgresAuditLog, PostgresSessionStore
from services.auth.use_cases.limits import SignInLimits
from services.auth.use_cases.login import Login
from services.auth.use_cases.pairs import TokenPairs
from services.auth.use_cases.registration import Registration
from services.auth.use_cases.sessions import Sessions
from services.auth.use_cases.signing_keys import SigningKeys

KEYS_SECONDS = 30.0
"""How often keys are read anew: far less than they are published ahead and kept after."""
SWEEP_SECONDS = 10.0
PURGE_SECONDS = 600.0

log = logs.get("auth")


@dataclass(frozen=True)
class Parts:
    """What the use cases are made of."""

    pool: Pool
    discovery: Discovery
    lease: WorkerLease
    hasher: Argon2Hasher
    limiter: RedisLimiter
    hints: SessionHints
    live: LiveSettings[AuthLiveSettings]


@dataclass(frozen=True)
class UseCases:
    """What auth does."""

    keys: SigningKeys
    registration: Registration
    login: Login
    sessions: Sessions


@asynccontextmanager
async def app(settings: AuthSettings, process: Process[AuthSettings]) -> AsyncIterator[None]:
    """Serves until the block ends. Fails when PostgreSQL is away or the secret does not open the keys."""
    async with AsyncExitStack() as stack:
        parts = await _open(settings, process, stack)
        use_cases = _wire(settings, parts)
        await use_cases.keys.refresh()
        use_cases.keys.check_secret()
        process.readiness.add("postgres", lambda: postgres.check(parts.pool))
        process.readiness.add("signing_key", use_cases.keys.problem)
        process.readiness.add("worker_id", parts.lease.problem)
        process.readiness.add("redis", parts.limiter.problem, degrades=True)
        await stack.enter_async_context(_periodic(use_cases))
        server = await stack.enter_async_context(
            serve_grpc(process, _services(settings, use_cases), TokenVerifier(use_cases.keys.published))
        )
        await parts.discovery.register("auth", server.port)
        yield


async def _open(settings: AuthSettings, process: Process[AuthSettings], stack: AsyncExitStack) -> Parts:
    pool = await stack.enter_async_context(
        open_pool(
            settings.postgres_dsn.get_secret_value(),
            size=settings.postgres_pool,
            application_name=settings.instance,
        )
    )
    discovery = await stack.enter_async_context(open_discovery(process))
    hasher = await stack.enter_async_context(open_hasher())
    redis_url = settings.redis_url.get_secret_value()
    redis = open_redis(redis_url)
    stack.push_async_callback(redis.aclose)
    publisher = Publisher(redis_url)
    stack.push_async_callback(publisher.close)
    lost = process.metrics.counter("session_hints_lost", "hints of ended sessions that Redis did not take")
    local = process.metrics.counter("limits_kept_locally", "sign-in limits that Redis did not count")
    queue = process.metrics.gauge("password_queue", "passwords that wait for a thread or are in one")
    queue.set_function(lambda: hasher.pending)
    live = discovery.live_settings(AuthLiveSettings)
    live.subscribe(lambda values: logs.set_level(values.log_level))
    return Parts(
        pool,
        discovery,
        await discovery.lease_worker_id(),
        hasher,
        RedisLimiter(redis, LocalLimiter(), on_local=local.inc),
        RedisSessionHints(publisher, lost),
        live,
    )


def _wire(settings: AuthSettings, parts: Parts) -> UseCases:
    secret = settings.signing_key_secret
    forge = Es256Forge(derive_key(secret, "signing keys"))
    period = timedelta(days=settings.key_rotation_days)
    keys = SigningKeys(PostgresKeyStore(parts.pool), forge, _now, period)
    pairs = TokenPairs(keys, forge, _now, derive_key(secret, "refresh tokens"))
    limits = SignInLimits(parts.limiter, lambda: parts.live.value.limits())
    accounts = PostgresAccountStore(parts.pool)
    sessions = PostgresSessionStore(parts.pool)
    ids = snowflake_ids(parts.lease)
    profiles = RemoteProfiles(
        parts.discovery.client("user", ProfileDirectoryServiceStub), settings.internal_credential
    )
    audit = PostgresAuditLog(parts.pool)
    return UseCases(
        keys,
        Registration(accounts, profiles, parts.hasher, limits, pairs, ids, _now, common_passwords()),
        Login(accounts, sessions, audit, parts.hasher, limits, parts.hints, pairs, ids, _now),
        Sessions(sessions, parts.hints, limits, pairs, _now),
    )


def _services(settings: AuthSettings, use_cases: UseCases) -> list[GrpcService]:
    origins = Origins(settings.internal_credential)
    api = AuthApi(use_cases.registration, use_cases.login, use_cases.sessions, use_cases.keys, origins)
    return grpc_services(api, SessionDirectoryApi(use_cases.sessions))


@asynccontextmanager
async def _periodic(use_cases: UseCases) -> AsyncIterator[None]:
    """What is done from time to time, until the block ends; a bug in it ends the process."""
    jobs = (
        ("signing_keys", KEYS_SECONDS, use_cases.keys.refresh),
        ("registration_sweep", SWEEP_SECONDS, use_cases.registration.sweep),
        ("session_purge", PURGE_SECONDS, use_cases.sessions.purge),
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_repeat(*job), name=job[0]) for job in jobs]
        yield
        for task in tasks:
            task.cancel()


async def _repeat(name: str, seconds: float, job: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await job()
        except Failure as failure:
            log.warning("job_put_off", job=name, reason=failure.reason, why=failure.message)
        await asyncio.sleep(seconds)


def _now() -> datetime:
    return datetime.now(UTC)
