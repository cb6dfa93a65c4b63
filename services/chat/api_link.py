"""LinkService: the streams of the edges."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

import grpc.aio
from polychat.internal.link.v1 import link_service_pb2_grpc
from polychat.internal.link.v1.link_service_pb2 import AttachRequest

from chassis import failpoints, logs
from chassis.errors import InvalidField, Overloaded
from chassis.interceptors import Access
from services.chat.link_output import MAX_BYTES, LinkOutput
from services.chat.links import Link, LinkParts
from services.chat.lost_edges import LostEdges

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

ACCESS = {"Attach": Access.INTERNAL}
_INSTANCE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

log = logs.get("chat")


class LinkApi(link_service_pb2_grpc.LinkServiceServicer):
    """polychat.internal.link.v1.LinkService."""

    def __init__(
        self, parts: LinkParts, lost_edges: LostEdges, instance: str, *, max_bytes: int = MAX_BYTES
    ) -> None:
        self._parts = parts
        self.lost_edges = lost_edges
        self._instance = instance
        self._max_bytes = max_bytes
        self.draining = False
        """Set while this instance leaves: who attaches now is told at once."""

    async def Attach(  # type: ignore[override]  # noqa: N802 — gRPC's name; see below
        self, request_iterator: AsyncIterator[AttachRequest], context: Context
    ) -> None:
        """Writes to the context instead of yielding: a write that hangs, because the edge does not read,
        can then be given up and the call ended with a status."""
        requests = aiter(request_iterator)
        first = await anext(requests, None)
        if first is None:
            return
        if not _INSTANCE.fullmatch(first.edge_instance):
            raise InvalidField("edge_instance", "must name the edge in the first message")
        output = LinkOutput(self._instance, max_bytes=self._max_bytes)
        link = Link(self._parts, first.edge_instance, output)
        if self.draining:
            output.drain()
        self.lost_edges.back(first.edge_instance)
        log.info("edge_attached", edge=first.edge_instance)
        try:
            heard = self._heard(requests)
            await _until_one_ends(link.read(first, heard), _write(output, context), output.ended.wait())
        finally:
            left = len(link.edge.connections)
            if left and not (self.draining or output.ended.is_set()):
                self.lost_edges.lost(first.edge_instance, left)
            self._parts.hub.detach(link.edge)
            log.info("edge_detached", edge=first.edge_instance, overflowed=output.overflowed)
        if output.overflowed:
            raise Overloaded("the edge does not read fast enough; attach again")

    async def _heard(self, requests: AsyncIterator[AttachRequest]) -> AsyncIterator[AttachRequest]:
        async for request in requests:
            if not self._parts.hub.closed:
                yield request


async def _write(output: LinkOutput, context: Context) -> None:
    async for frame in output.frames():
        if frame.outcomes:
            await failpoints.reach("chat.before_reply")
        await context.write(frame)


async def _until_one_ends(*works: Coroutine[Any, Any, object]) -> None:
    """Runs all until the first ends, and raises what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
