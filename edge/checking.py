"""Whether the sessions of live connections still stand: asked of auth in batches, in case a hint was lost."""

from __future__ import annotations

import asyncio

import grpc.aio
from polychat.internal.directory.v1.session_directory_service_pb2 import CheckSessionsRequest
from polychat.internal.directory.v1.session_directory_service_pb2_grpc import SessionDirectoryServiceStub

from chassis import logs
from chassis.caller import Metadata
from edge.ports import Client
from edge.sessions import Sessions

BATCH = 5_000
"""As SessionDirectoryService allows."""
TIMEOUT_SECONDS = 5.0

log = logs.get("edge")


class SessionChecker:
    """Closes the connections of sessions that ended."""

    def __init__(
        self,
        sessions: Sessions,
        auth: Client[SessionDirectoryServiceStub],
        metadata: Metadata,
        seconds: float,
    ) -> None:
        self._sessions = sessions
        self._auth = auth
        self._metadata = metadata
        self._seconds = seconds

    async def run(self) -> None:
        """Checks for ever. Auth away: connections live on until it is back."""
        while True:
            await asyncio.sleep(self._seconds)
            ids = list(self._sessions.by_session)
            for start in range(0, len(ids), BATCH):
                await self._check(ids[start : start + BATCH])

    async def _check(self, ids: list[int]) -> None:
        try:
            reply = await self._auth.stub.CheckSessions(
                CheckSessionsRequest(session_ids=ids), metadata=self._metadata, timeout=TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            log.warning("sessions_not_checked", sessions=len(ids), why=error.code().name)
            return
        for session_id in reply.ended_session_ids:
            self._sessions.revoke(session_id)
