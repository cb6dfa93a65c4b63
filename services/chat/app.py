"""chat's composition root: opens what it stands on, wires the use cases, serves, drains."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from polychat.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from polychat.internal.log.v1.log_read_service_pb2_grpc import LogReadServiceStub
from polychat.user.v1.user_service_pb2_grpc import UserServiceStub

from chassis import logs, postgres
from chassis.grpc_server import serve_grpc
from chassis.paging import PageTokens
from chassis.postgres import Pool, open_pool
from chassis.redis import Publisher, Subscriber, room_channel
from chassis.run import Process
from chassis.tokens import TokenVerifier, jwks_from_auth
from discovery import Discovery, WorkerLease, open_discovery, snowflake_ids
from services.chat.api import Apis, grpc_services
from services.chat.config import ChatLiveSettings, ChatSettings
from services.chat.confirming import Confirmer
from services.chat.draining import drain
from services.chat.events import MessageEncoder
from services.chat.hints import Hints
from services.chat.hub import Hub
from services.chat.links import LinkParts
from services.chat.lost_edges import LostEdges
from services.chat.measures import Measures
from services.chat.outbox import OutboxRelay
from services.chat.peers import MessagePeer, UserPeer
from services.chat.placement import Placement
from services.chat.producers import KafkaProducers
from services.chat.repair import Repair
from services.chat.room_log import KafkaRoomLog
from services.chat.store import PostgresOutbox, PostgresRoomStore
from services.chat.sweeper import Sweeper
from services.chat.typing_signals import TypingSignals
from services.chat.use_cases.changes import Changes
from services.chat.use_cases.limits import CHANGE_BURST, CHANGE_RATE, SendLimit
from services.chat.use_cases.members import MemberCache
from services.chat.use_cases.memberships import Memberships
from services.chat.use_cases.pending import Pending
from services.chat.use_cases.rooms import Rooms
from services.chat.use_cases.sending import Sending

_clock = time.monotonic


@dataclass(frozen=True)
class Backings:
    """What the process stands on."""

    pool: Pool
    discovery: Discovery
    lease: WorkerLease
    publisher: Publisher


@dataclass(frozen=True)
class Chat:
    """The wired process: its services, and the loops that must run."""

    apis: Apis
    hub: Hub
    pending: Pending
    log: KafkaRoomLog
    verifier: TokenVerifier
    subscriber: Subscriber
    loops: Collection[Callable[[], Coroutine[Any, Any, None]]]


@asynccontextmanager
async def app(settings: ChatSettings, process: Process[ChatSettings]) -> AsyncIterator[None]:
    """Serves until the block ends, then drains. Fails when PostgreSQL is away at the start."""
    async with AsyncExitStack() as stack:
        backings = await _open(settings, process, stack)
        chat = _wire(settings, process, backings)
        _say_when_ready(process, backings, chat)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(loop()) for loop in chat.loops]
            async with serve_grpc(process, grpc_services(chat.apis), chat.verifier) as server:
                await backings.discovery.register("chat", server.port)
                yield
                chat.apis.link.draining = True
                await drain(chat.hub, chat.pending, settings.drain_seconds)
            for task in running:
                task.cancel()


async def _open(settings: ChatSettings, process: Process[ChatSettings], stack: AsyncExitStack) -> Backings:
    pool = await stack.enter_async_context(
        open_pool(
            settings.postgres_dsn.get_secret_value(),
            size=settings.postgres_pool,
            application_name=settings.instance,
        )
    )
    discovery = await stack.enter_async_context(open_discovery(process))
    publisher = Publisher(settings.redis_url.get_secret_value())
    stack.push_async_callback(publisher.close)
    return Backings(pool, discovery, await discovery.lease_worker_id(), publisher)


def _wire(settings: ChatSettings, process: Process[ChatSettings], backings: Backings) -> Chat:
    discovery, pool = backings.discovery, backings.pool
    measures = Measures(process.metrics)
    messages = MessagePeer(discovery.client("message", LogReadServiceStub), settings.internal_credential)
    users = UserPeer(discovery.client("user", UserServiceStub))
    verifier = TokenVerifier(jwks_from_auth(discovery.client("auth", AuthServiceStub)))
    store = PostgresRoomStore(pool)
    change_limit = SendLimit(_clock, rate=CHANGE_RATE, burst=CHANGE_BURST)
    pending = Pending(_clock, first=time.time_ns())
    members = MemberCache(store.memberships, _clock)
    log = _room_log(settings, measures)
    relay = OutboxRelay(PostgresOutbox(pool), log.append_all, on_depth=measures.outbox.set)
    confirmer = Confirmer(PostgresOutbox(pool), messages, on_lost=measures.lost.inc)
    new_id = snowflake_ids(backings.lease)
    sending = Sending(
        members=members,
        limit=_send_limit(backings),
        encoder=MessageEncoder(),
        log=log,
        pending=pending,
        new_id=new_id,
        clock=_clock,
        observe=measures.settled,
    )
    changes = Changes(
        instance=settings.instance,
        new_request_key=lambda: uuid.uuid4().bytes,
        pending=pending,
        relay=relay,
        messages=messages,
        members=members,
        clock=_clock,
    )
    hub = Hub(lambda rooms, wanted: _listen(subscriber, rooms, wanted))
    placement = Placement(hub, messages)
    repair = Repair(hub, placement, _clock, on_compare=measures.compared)
    hints = Hints(
        instance=settings.instance,
        hub=hub,
        pending=pending,
        members=members,
        repair=repair.request,
        on_behind=measures.behind.inc,
    )
    subscriber = Subscriber(settings.redis_url.get_secret_value(), hints.on_message, hints.on_connect)
    subscriber.subscribe(hints.channels)
    typing = TypingSignals(hub, backings.publisher.publish, _clock)
    measures.watch(hub, pending, subscriber)
    apis = Apis.of(
        rooms=Rooms(store=store, changes=changes, messages=messages, users=users, new_id=new_id, now=_now),
        memberships=Memberships(store=store, changes=changes, users=users, now=_now, limit=change_limit),
        sending=sending,
        link=LinkParts(hub, sending, placement, verifier, typing, time.time),
        lost_edges=LostEdges(_clock, measures.edges_lost.inc),
        tokens=PageTokens(settings.page_token_key),
        instance=settings.instance,
    )
    sweeper = Sweeper(pending, messages)
    runners = (log, relay, confirmer, members, sweeper, repair, subscriber, typing)
    return Chat(apis, hub, pending, log, verifier, subscriber, [runner.run for runner in runners])


def _room_log(settings: ChatSettings, measures: Measures) -> KafkaRoomLog:
    return KafkaRoomLog(
        KafkaProducers(settings.kafka_bootstrap, settings.instance),
        topic=settings.room_log_topic,
        reply_to=settings.instance,
        pace_seconds=settings.produce_pace_ms / 1000,
        on_replaced=measures.replaced.inc,
    )


def _say_when_ready(process: Process[ChatSettings], backings: Backings, chat: Chat) -> None:
    """Redis only degrades: without it answers come later and are the same."""

    def message() -> str | None:
        return None if backings.discovery.healthy("message") else "message has no healthy instance"

    process.readiness.add("postgres", lambda: postgres.check(backings.pool))
    process.readiness.add("kafka", chat.log.problem)
    process.readiness.add("worker_id", backings.lease.problem)
    process.readiness.add("message", message)
    process.readiness.add("redis", chat.subscriber.problem, degrades=True)
    process.readiness.add("edges", chat.apis.link.lost_edges.problem, degrades=True)


def _send_limit(backings: Backings) -> SendLimit:
    live = backings.discovery.live_settings(ChatLiveSettings)
    limit = SendLimit(_clock, rate=live.value.send_rate, burst=live.value.send_burst)

    def apply(values: ChatLiveSettings) -> None:
        logs.set_level(values.log_level)
        limit.configure(rate=values.send_rate, burst=values.send_burst)

    live.subscribe(apply)
    return limit


def _listen(subscriber: Subscriber, room_ids: Collection[int], wanted: bool) -> None:
    channels = [room_channel(room_id) for room_id in room_ids]
    if wanted:
        subscriber.subscribe(channels)
    else:
        subscriber.unsubscribe(channels)


def _now() -> datetime:
    return datetime.now(UTC)
