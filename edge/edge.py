"""One edge, wired together; what it stands on comes in as arguments, so that tests can stand in for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from polychat.internal.directory.v1.session_directory_service_pb2_grpc import SessionDirectoryServiceStub

from chassis import failpoints
from chassis.caller import Metadata
from chassis.health import Readiness
from chassis.telemetry import Metrics
from edge.admission import Admission
from edge.bounds import Bounds
from edge.callers import Callers
from edge.checking import SessionChecker
from edge.config import EdgeLiveSettings, EdgeSettings
from edge.fanout import Fanout
from edge.gateway import Gateway
from edge.handshake import Handshakes
from edge.holes import Mender
from edge.http import HttpServer
from edge.lagging import Lagging
from edge.link import Link
from edge.listening import BACKLOG, listen
from edge.log_reader import LogReader
from edge.metrics import EdgeMetrics
from edge.peer import Outbox, Peer
from edge.ports import Client, InstanceClient
from edge.protocol.codes import CloseCode
from edge.protocol.connection import Phase
from edge.protocol.limits import FRAGMENTS, FRAME_BYTES
from edge.requests import Requests
from edge.resume import Resumer
from edge.rooms import Rooms
from edge.routes import Routes
from edge.sessions import Sessions
from edge.static import StaticFiles
from edge.wheel import Wheel

LEAVE_SECONDS = 1.0
"""From the end of the last connection for chat to take in that all have ended."""


@dataclass(frozen=True)
class Outside:
    """What an edge stands on."""

    callers: Callers
    gateway: Gateway
    reader: LogReader
    chat: InstanceClient
    auth: Client[SessionDirectoryServiceStub]
    credential: Metadata
    limits: Callable[[], EdgeLiveSettings]


@dataclass(frozen=True)
class Edge:
    """A running edge."""

    http_port: int
    sessions: Sessions
    link: Link
    fanout: Fanout
    outbox: Outbox
    bounds: Bounds


@asynccontextmanager
async def open_edge(
    settings: EdgeSettings, outside: Outside, metrics: Metrics, readiness: Readiness
) -> AsyncIterator[Edge]:
    """Serves HTTP and WebSockets until the block ends, then drains. OSError when the port stays in use."""
    loop = asyncio.get_running_loop()
    counted = EdgeMetrics(metrics)
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(loop)
        mender = Mender(outside.reader, counted)
        fanout = Fanout(outbox, counted, mender.want)
        resumer = Resumer(fanout, outside.reader, tasks, counted)
        lagging = Lagging(fanout, resumer, counted)
        outbox.on_full = lagging.begin
        rooms = Rooms(settings, fanout, mender, resumer, lagging, outbox, time.time)
        admission = Admission(outside.limits, settings.trusted_addresses, loop.time)
        wheel = Wheel(settings.tick_seconds, loop.time)
        sessions = Sessions(settings, outside.callers, rooms, admission, wheel, tasks, counted, time.time)

        def least_gap() -> float:
            return outside.limits().frame_gap_millis / 1000

        link = Link(
            settings.instance, outside.chat, outside.credential, sessions, counted, loop.time, least_gap
        )
        requests = Requests(
            link, outside.gateway, outside.callers, tasks, counted, time.time, sessions.lifetimes.keep
        )
        sessions.use(link, requests)
        fanout.comings.on_late = sessions.ask_again
        readiness.add("link", lambda: None if link.attached_to else "not attached to a chat instance")
        bounds = Bounds(FRAME_BYTES, FRAGMENTS, settings.slow_bytes, settings.unsent_bytes)
        handshakes = Handshakes(sessions, admission, outbox, bounds, counted, settings.allowed_origins)
        registry = metrics.registry if settings.http_metrics else None
        routes = Routes(outside.gateway, readiness, StaticFiles(settings.web_root), registry)
        http = HttpServer(routes.answer, handshakes.shake, tasks, loop.time, gate=admission)
        check_every = settings.check_sessions_seconds
        checker = SessionChecker(sessions, outside.callers, outside.auth, outside.credential, check_every)
        attached = tasks.create_task(link.run(), name="link")
        running = [
            attached,
            tasks.create_task(mender.run(fanout), name="holes"),
            tasks.create_task(checker.run(), name="session checks"),
            tasks.create_task(_sweep(settings, sessions, http, bounds, counted), name="sweeper"),
        ]
        sock = await listen(settings.http_host, settings.http_port)
        server = await loop.create_server(http.protocol, sock=sock, backlog=BACKLOG)
        try:
            yield Edge(sock.getsockname()[1], sessions, link, fanout, outbox, bounds)
        finally:
            server.close()
            await _drain(sessions, http, settings)
            if link.attached_to is not None:
                link.leave()
                await asyncio.wait((attached,), timeout=LEAVE_SECONDS)
            for task in running:
                task.cancel()


async def _sweep(
    settings: EdgeSettings, sessions: Sessions, http: HttpServer, bounds: Bounds, metrics: EdgeMetrics
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(settings.tick_seconds)
        now = loop.time()
        metrics.lag.observe(max(0.0, now - before - settings.tick_seconds))
        sessions.sweep()
        http.sweep()
        for peer in bounds.stalled(now, settings.stalled_seconds):
            _close_slow(sessions, peer, CloseCode.SLOW, settings.unsent_bytes)
        for peer in bounds.heaviest(settings.unsent_total_bytes):
            _close_slow(sessions, peer, CloseCode.OVERLOADED, settings.unsent_bytes)
        metrics.unsent.set(bounds.unsent)
        metrics.unsent_peak.set(bounds.peak)


def _close_slow(sessions: Sessions, peer: Peer, code: CloseCode, most: int) -> None:
    """Gives up what a peer has not taken, so that its close code gets through. It is cut when it was closing
    anyway, or when more bytes than `most` are left: of a large frame, which cannot end before its end."""
    closing = peer.connection.phase is Phase.CLOSING
    if not closing:
        peer.drop_waiting()
        sessions.close(peer, code)
    if closing or peer.unsent > most:
        peer.abort()


async def _drain(sessions: Sessions, http: HttpServer, settings: EdgeSettings) -> None:
    """Sends everybody elsewhere within the time there is; what is left then is cut."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.drain_seconds
    sessions.drain(settings.drain_seconds * 0.7)
    await failpoints.reach("edge.in_drain")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            await sessions.empty.wait()
    for peer in tuple(sessions.peers.values()):
        peer.abort()
    http.close()
