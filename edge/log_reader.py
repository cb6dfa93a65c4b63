"""Reading the room log from message, for replays and holes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import grpc.aio
from polychat.internal.log.v1 import log_read_service_pb2 as pb
from polychat.internal.log.v1.log_read_service_pb2_grpc import LogReadServiceStub

from chassis import logs
from chassis.caller import Metadata
from chassis.errors import BackendUnavailable
from edge.ports import Client

RANGES = 100
"""Ranges in one call, as LogReadService allows."""
CALLS_AT_ONCE = 16
"""Bounds what a thousand clients that come back together ask of message."""


log = logs.get("edge")


class Wanted(NamedTuple):
    """What makes two ranges equal."""

    room_id: int
    after_sequence: int
    limit: int
    user_id: int


class LogReader(Protocol):
    """Where missing events come from."""

    async def read(self, ranges: Sequence[pb.LogRange]) -> Sequence[pb.LogStretch]:
        """One stretch for each range, in order. Raises BackendUnavailable."""
        ...


class RemoteLogReader:
    """LogReadService over gRPC. Who wants what somebody else waits for already gets the same answer, and
    what has to wait for its turn leaves together."""

    def __init__(self, client: Client[LogReadServiceStub], metadata: Metadata) -> None:
        self._client = client
        self._metadata = metadata
        self._gate = asyncio.Semaphore(CALLS_AT_ONCE)
        self._wanted: dict[Wanted, asyncio.Future[pb.LogStretch]] = {}
        """Every range that somebody waits for."""
        self._due: dict[Wanted, pb.LogRange] = {}
        """Those of them that no call was made for yet."""

    async def read(self, ranges: Sequence[pb.LogRange]) -> Sequence[pb.LogStretch]:
        """See LogReader."""
        futures = [self._want(one) for one in ranges]
        async with self._gate:
            while self._due and not all(future.done() for future in futures):
                await self._take_due()
        return [await asyncio.shield(future) for future in futures]

    def _want(self, one: pb.LogRange) -> asyncio.Future[pb.LogStretch]:
        key = Wanted(one.room_id, one.after_sequence, one.limit, one.user_id)
        future = self._wanted.get(key)
        if future is None:
            future = self._wanted[key] = asyncio.get_running_loop().create_future()
            self._due[key] = one
        return future

    async def _take_due(self) -> None:
        """Makes one call, for whoever waits the longest."""
        keys = tuple(self._due)[:RANGES]
        ranges = [self._due.pop(key) for key in keys]
        stretches: Sequence[pb.LogStretch] = ()
        try:
            stretches = await self._call(ranges)
        finally:
            for number, key in enumerate(keys):
                future = self._wanted.pop(key)
                if stretches:
                    future.set_result(stretches[number])
                else:
                    future.set_exception(BackendUnavailable("message"))
                    future.exception()  # of several failures a caller raises one; the others are no news

    async def _call(self, ranges: Sequence[pb.LogRange]) -> Sequence[pb.LogStretch]:
        """Empty when message does not answer."""
        request = pb.ReadEventsRequest(ranges=ranges)
        try:
            reply = await self._client.stub.ReadEvents(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            log.debug("log_not_read", ranges=len(ranges), why=error.code().name)
            return ()
        return reply.stretches if len(reply.stretches) == len(ranges) else ()
