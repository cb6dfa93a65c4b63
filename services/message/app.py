"""Puts the message service together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from polychat.auth.v1.auth_service_pb2_grpc import AuthServiceStub

from chassis import logs, postgres
from chassis.grpc_server import GrpcService, serve_grpc
from chassis.paging import PageTokens
from chassis.postgres import Pool, open_pool
from chassis.redis import Publisher
from chassis.run import Process
from chassis.tokens import TokenVerifier, jwks_from_auth
from discovery import open_discovery
from services.message.api import message_service, receipt_service
from services.message.broker_watch import BrokerWatch
from services.message.config import MessageLiveSettings, MessageSettings
from services.message.consumer import LogConsumer
from services.message.dead_letters import DeadLetterTopic
from services.message.hints import Hints
from services.message.log_api import log_read_service
from services.message.measures import Measures
from services.message.store import PostgresLogReader, PostgresLogWriter, PostgresReceipts
from services.message.use_cases.history import History
from services.message.use_cases.log_reading import LogReading
from services.message.use_cases.receipts import Receipts
from services.message.use_cases.sequencing import Sequencer

ROOM_LOCK_MILLIS = 500
"""How long a commit waits for a row that somebody else holds before its partition is set aside."""
WRITER_CONNECTIONS = 2


def now_millis() -> int:
    """The wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def app(settings: MessageSettings, process: Process[MessageSettings]) -> AsyncIterator[None]:
    """Opens everything, serves, and gives it back in the opposite order."""
    dsn = settings.postgres_dsn.get_secret_value()
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(
            open_pool(dsn, size=settings.postgres_pool, application_name=f"{settings.instance}-read")
        )
        writer = await stack.enter_async_context(
            open_pool(
                dsn,
                size=WRITER_CONNECTIONS,
                application_name=f"{settings.instance}-write",
                lock_timeout_millis=ROOM_LOCK_MILLIS,
            )
        )
        publisher = Publisher(settings.redis_url.get_secret_value())
        stack.push_async_callback(publisher.close)
        hints = Hints(publisher, process.metrics)
        discovery = await stack.enter_async_context(open_discovery(process))
        live = discovery.live_settings(MessageLiveSettings)
        live.subscribe(lambda values: logs.set_level(values.log_level))
        verifier = TokenVerifier(jwks_from_auth(discovery.client("auth", AuthServiceStub)))
        services = _services(settings, reader, hints)
        await stack.enter_async_context(sequencing(settings, process, writer, hints))
        process.readiness.add("postgres", lambda: postgres.check(reader))
        process.readiness.add("redis", hints.problem, degrades=True)
        server = await stack.enter_async_context(serve_grpc(process, services, verifier))
        await discovery.register("message", server.port)
        yield


def _services(settings: MessageSettings, pool: Pool, hints: Hints) -> Sequence[GrpcService]:
    tokens = PageTokens(settings.page_token_key)
    log = PostgresLogReader(pool)
    return [
        message_service(History(log, tokens)),
        receipt_service(Receipts(PostgresReceipts(pool), hints, tokens)),
        log_read_service(LogReading(log), now_millis),
    ]


def _waiting(consumer: LogConsumer) -> str | None:
    """For readiness: None while no partition is set aside for a lock, a store or another owner."""
    waiting = len(consumer.ownership.assigned - consumer.ownership.working)
    return f"{waiting} partitions wait to be worked on" if waiting else None


@asynccontextmanager
async def sequencing(
    settings: MessageSettings, process: Process[MessageSettings], pool: Pool, hints: Hints
) -> AsyncIterator[LogConsumer]:
    """Runs the sequencer while the block lasts; at its end the batch in hand is finished first."""
    measures = Measures(process.metrics)
    sequencer = Sequencer(PostgresLogWriter(pool), now_millis)
    letters = DeadLetterTopic(settings, measures)
    consumer = LogConsumer(settings, sequencer, hints, letters, measures)
    watch = BrokerWatch(settings.room_log_topic, consumer, sequencer, measures)
    process.readiness.add("room_log", watch.problem)
    process.readiness.add("partitions", lambda: _waiting(consumer), degrades=True)
    async with asyncio.TaskGroup() as tasks:
        consuming = tasks.create_task(consumer.run())
        others = [tasks.create_task(work) for work in (hints.run(), letters.run(), watch.run())]
        try:
            yield consumer
        finally:
            consumer.stop()
            await asyncio.wait([consuming], timeout=settings.drain_seconds)
            for task in (consuming, *others):
                task.cancel()
