"""Whether sessions in use still stand: asked of auth in batches, in case a hint was lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import grpc.aio
from polychat.internal.directory.v1.session_directory_service_pb2 import CheckSessionsRequest
from polychat.internal.directory.v1.session_directory_service_pb2_grpc import SessionDirectoryServiceStub

from chassis import logs
from chassis.caller import Metadata
from edge.callers import Callers
from edge.ports import Client
from edge.sessions import Sessions

BATCH = 5_000
"""As SessionDirectoryService allows."""
TIMEOUT_SECONDS = 5.0

log = logs.get("edge")


class SessionChecker:
    """Finds sessions that ended: at their first use here, then all of them every so many seconds."""

    def __init__(
        self,
        sessions: Sessions,
        callers: Callers,
        auth: Client[SessionDirectoryServiceStub],
        metadata: Metadata,
        seconds: float,
    ) -> None:
        self._sessions = sessions
        self._callers = callers
        self._auth = auth
        self._metadata = metadata
        self._seconds = seconds

    async def run(self) -> None:
        """Checks for ever. Auth away: sessions are taken to stand until it is back."""
        loop = asyncio.get_running_loop()
        all_due = loop.time() + self._seconds
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(all_due):
                    await self._callers.unchecked.wait()
            ids = self._callers.take_unchecked()
            if loop.time() >= all_due:
                all_due = loop.time() + self._seconds
                ids = list({*self._sessions.by_session, *self._callers.seen()})
            for start in range(0, len(ids), BATCH):
                await self._check(ids[start : start + BATCH])

    async def _check(self, ids: Sequence[int]) -> None:
        try:
            reply = await self._auth.stub.CheckSessions(
                CheckSessionsRequest(session_ids=ids), metadata=self._metadata, timeout=TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            log.warning("sessions_not_checked", sessions=len(ids), why=error.code().name)
            return
        for session_id in reply.ended_session_ids:
            self._sessions.revoke(session_id)
