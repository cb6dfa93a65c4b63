"""Reading the room log from message, for replays and holes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import grpc.aio
from polychat.internal.log.v1 import log_read_service_pb2 as pb
from polychat.internal.log.v1.log_read_service_pb2_grpc import LogReadServiceStub

from chassis.caller import Metadata
from chassis.errors import BackendUnavailable
from edge.ports import Client

RANGES = 100
"""Ranges in one call, as LogReadService allows."""
CALLS_AT_ONCE = 16
"""Bounds what a thousand clients that come back together ask of message."""


class LogReader(Protocol):
    """Where missing events come from."""

    async def read(self, ranges: Sequence[pb.LogRange]) -> Sequence[pb.LogStretch]:
        """One stretch for each range, in order. Raises BackendUnavailable."""
        ...


class RemoteLogReader:
    """LogReadService over gRPC."""

    def __init__(self, client: Client[LogReadServiceStub], metadata: Metadata) -> None:
        self._client = client
        self._metadata = metadata
        self._gate = asyncio.Semaphore(CALLS_AT_ONCE)

    async def read(self, ranges: Sequence[pb.LogRange]) -> Sequence[pb.LogStretch]:
        """See LogReader."""
        async with self._gate:
            try:
                reply = await self._client.stub.ReadEvents(
                    pb.ReadEventsRequest(ranges=ranges), metadata=self._metadata
                )
            except grpc.aio.AioRpcError as error:
                raise BackendUnavailable("message") from error
        if len(reply.stretches) != len(ranges):
            raise BackendUnavailable("message")
        return reply.stretches
