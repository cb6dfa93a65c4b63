"""LinkService: the streams of the edges."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc.aio
from polychat.internal.link.v1 import link_service_pb2_grpc
from polychat.internal.link.v1.link_service_pb2 import AttachRequest, AttachResponse

from chassis import logs
from chassis.errors import InvalidField
from chassis.interceptors import Access
from services.chat.link_output import MAX_BYTES, LinkOutput
from services.chat.links import Link, LinkParts
from services.chat.ports import Clock

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

ACCESS = {"Attach": Access.INTERNAL}
_INSTANCE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

log = logs.get("chat")


def cut(handler: asyncio.Task[Any]) -> None:
    """Ends a call whose peer does not read: its handler waits in a write and can only be cancelled."""
    handler.cancel()


class LinkApi(link_service_pb2_grpc.LinkServiceServicer):
    """polychat.internal.link.v1.LinkService."""

    def __init__(self, parts: LinkParts, instance: str, clock: Clock, *, max_bytes: int = MAX_BYTES) -> None:
        self._parts = parts
        self._instance = instance
        self._clock = clock
        self._max_bytes = max_bytes
        self.draining = False
        """Set while this instance leaves: who attaches now is told at once."""

    async def Attach(  # noqa: N802 — gRPC's name
        self, request_iterator: AsyncIterator[AttachRequest], _context: Context
    ) -> AsyncIterator[AttachResponse]:
        first = await anext(aiter(request_iterator), None)
        if first is None:
            return
        if not _INSTANCE.fullmatch(first.edge_instance):
            raise InvalidField("edge_instance", "must name the edge in the first message")
        handler = asyncio.current_task()
        assert handler is not None  # noqa: S101 — a coroutine runs in a task
        output = LinkOutput(self._instance, self._clock, max_bytes=self._max_bytes, cut=lambda: cut(handler))
        link = Link(self._parts, first.edge_instance, output)
        if self.draining:
            output.drain()
        log.info("edge_attached", edge=first.edge_instance)
        reader = asyncio.create_task(link.read(first, request_iterator))
        reader.add_done_callback(lambda _reader: output.end())
        try:
            async for frame in output.frames():
                yield frame
            if reader.done():
                reader.result()
        finally:
            reader.cancel()
            self._parts.hub.detach(link.edge)
            log.info("edge_detached", edge=first.edge_instance)
