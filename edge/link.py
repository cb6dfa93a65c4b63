"""The link: one bidi stream to one chat instance for all connections of this process.

Nothing on it is the only copy: when it breaks, the edge attaches to another instance, opens its
connections again with their tokens and sends again what was not answered, under the same tags and
request ids, which is safe because a request id happens once (I2).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import grpc.aio
from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest, SendMessageResponse
from polychat.internal.link.v1 import link_service_pb2 as pb
from polychat.internal.link.v1.link_service_pb2_grpc import LinkServiceStub
from polychat.internal.log.v1.record_pb2 import RoomSignal

from chassis import failpoints, logs
from chassis.backlog import Backlog
from chassis.caller import Metadata
from chassis.errors import Failure, OutcomeUnknown
from discovery import Instance
from edge.failures import failure_of
from edge.metrics import EdgeMetrics
from edge.pacing import Pace
from edge.ports import InstanceClient
from edge.staged import Staged

MAX_UNANSWERED = 10_000
"""Sends of this process that wait for an outcome, however many get one in a second; the next is refused."""
SEND_SECONDS = 5.0
"""From a send's arrival to OUTCOME_UNKNOWN."""
MAX_SIGNALS = 1_000
"""Signals that wait to leave; past it they are dropped, being signals."""
CONNECT_SECONDS = 5.0
BACKOFF_SECONDS = (0.1, 1.0)
"""Short against SEND_SECONDS: sends that wait while chat starts again are to be answered, not given up."""
SETTLED_SECONDS = 10.0
"""A stream that stood this long starts the backoff again from its beginning."""

log = logs.get("edge")

OnOutcome = Callable[[SendMessageResponse | Failure], None]
Call = grpc.aio.StreamStreamCall[pb.AttachRequest, pb.AttachResponse]


class LinkReceiver(Protocol):
    """What is done with what comes down."""

    def link_begins(self) -> None:
        """A stream begins: every connection is said again, and what answers them is read from now on."""
        ...

    def link_received(self, response: pb.AttachResponse) -> None:
        """Everything of a message but the outcomes of sends."""
        ...


@dataclass(slots=True)
class _Unanswered:
    send: pb.Send
    on_outcome: OnOutcome
    deadline: float
    repeated: bool = False
    """It has left on an earlier stream, too: a refusal of this one says nothing of that one."""


class Link:
    """Holds what chat has to know, and keeps one chat instance knowing it."""

    def __init__(
        self,
        instance: str,
        chat: InstanceClient,
        metadata: Metadata,
        receiver: LinkReceiver,
        metrics: EdgeMetrics,
        clock: Callable[[], float],
        least_gap: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`least_gap` is the seconds from frame to frame, whatever the load."""
        self.attached_to: str | None = None
        """The chat instance whose stream stands, or None."""
        self._instance = instance
        self._chat = chat
        self._metadata = metadata
        self._receiver = receiver
        self._metrics = metrics
        self._clock = clock
        self._connections: dict[int, str] = {}
        self._unanswered: dict[int, _Unanswered] = {}
        self._backlog = Backlog(clock, most=MAX_UNANSWERED)
        self._next_tag = 1
        self._staged = Staged()
        self._wake = asyncio.Event()
        self._pace = Pace(least_gap)
        self._leaving = False
        self._ending = False
        """This process ends: what is staged is the last."""
        self._streaming = False
        """A stream is there to write to: what is only of use to its other end may be staged."""

    def open(self, connection_id: int, token: str) -> None:
        """Announces a connection; `ConnectionOpened` comes for it."""
        self._connections[connection_id] = token
        self._staged.open[connection_id] = token
        self._stage()

    def close(self, connection_id: int) -> None:
        """Takes a connection back. Sends that are under way go on."""
        if self._connections.pop(connection_id, None) is None:
            return
        self._staged.refresh.pop(connection_id, None)
        self._staged.open.pop(connection_id, None)
        if self._streaming:  # also if it was to be opened: that may have been for the second time
            self._staged.closed.append(connection_id)
            self._stage()

    def refresh(self, connection_id: int, token: str) -> None:
        """Gives the new token of a connection; one that ended meanwhile stays ended."""
        if connection_id in self._connections:
            self._connections[connection_id] = token
            self._staged.refresh[connection_id] = token
            self._stage()

    def send(self, connection_id: int, request: SendMessageRequest, on_outcome: OnOutcome) -> None:
        """Sends a message; `on_outcome` is called once. Raises Overloaded."""
        self._backlog.admit(request.room_id)
        tag = self._next_tag
        self._next_tag += 1
        send = pb.Send(connection_id=connection_id, tag=tag, request=request)
        self._unanswered[tag] = _Unanswered(send, on_outcome, self._clock() + SEND_SECONDS)
        self._staged.sends[tag] = send
        self._stage()

    def signal(self, connection_id: int, signal: RoomSignal) -> None:
        """Passes a signal on, or drops it when nobody is there."""
        if self.attached_to is not None and len(self._staged.signals) < MAX_SIGNALS:
            self._staged.signals.append(pb.ConnectionSignal(connection_id=connection_id, signal=signal))
            self._stage()

    def expire(self) -> None:
        """Answers sends whose time is over with OUTCOME_UNKNOWN. Called a few times a second."""
        now = self._clock()
        late = []
        for tag, unanswered in self._unanswered.items():
            if unanswered.deadline > now:
                break
            late.append(tag)
        for tag in late:
            self._answer(tag, OutcomeUnknown())

    def _stage(self) -> None:
        self._pace.offered(self._clock())
        self._wake.set()

    def _answer(self, tag: int, result: SendMessageResponse | Failure) -> None:
        unanswered = self._unanswered.pop(tag, None)
        self._staged.sends.pop(tag, None)
        if unanswered is not None:
            self._backlog.leave(unanswered.send.request.room_id)
            if unanswered.repeated and isinstance(result, Failure):
                result = OutcomeUnknown(retry_after=result.retry_after)
            unanswered.on_outcome(result)

    def leave(self) -> None:
        """Lets `run` end when chat has taken in what is staged, such as the end of the last connection: an
        edge whose stream just breaks is lost to chat."""
        self._ending = True
        self._wake.set()

    async def run(self) -> None:
        """Stays attached until `leave`, and then for as long as chat takes."""
        backoff, longest = BACKOFF_SECONDS
        last: str | None = None
        while not self._ending:
            instance = self._choose(last)
            started = self._clock()
            if instance is not None:
                last = instance.name
                await self._attach(instance)
            settled = self._leaving or self._clock() - started >= SETTLED_SECONDS
            if instance is not None and settled:
                backoff = BACKOFF_SECONDS[0]
            if not self._ending and (instance is None or not self._leaving):
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 — spreads retries
                backoff = min(backoff * 2, longest)

    def _choose(self, last: str | None) -> Instance | None:
        instances = self._chat.instances()
        others = [instance for instance in instances if instance.name != last]
        return random.choice(others or instances) if instances else None  # noqa: S311 — spreads load

    async def _attach(self, instance: Instance) -> None:
        channel = self._chat.connect(instance)
        self._leaving = False
        try:
            call: Call = LinkServiceStub(channel).Attach(metadata=self._metadata)
            self._begin()
            async with asyncio.timeout(CONNECT_SECONDS):
                await call.write(self._staged.take(self._instance))
                greeting = await call.read()  # names the instance: it took us in
            self.attached_to = instance.name
            self._metrics.link(True)
            log.info("link_attached", chat=instance.name, connections=len(self._connections))
            await self._converse(call, greeting)
            log.info("link_left", chat=instance.name, draining=self._leaving)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError, TimeoutError) as error:
            why = error.details() if isinstance(error, grpc.aio.AioRpcError) else repr(error)
            log.warning("link_broken", chat=instance.name, why=why)
        except asyncio.CancelledError:
            if _cancelled_ourselves():
                raise
            log.warning("link_broken", chat=instance.name, why="the other side cancelled")
        finally:
            self._streaming = False
            self.attached_to = None
            self._metrics.link(False)
            await channel.close()

    def _begin(self) -> None:
        """Everything is to be said again."""
        for tag, unanswered in self._unanswered.items():
            unanswered.repeated |= tag not in self._staged.sends
        self._staged = Staged(
            open=dict(self._connections),
            sends={tag: unanswered.send for tag, unanswered in self._unanswered.items()},
        )
        self._streaming = True
        self._receiver.link_begins()
        self._wake.set()

    async def _converse(self, call: Call, greeting: object) -> None:
        writer = asyncio.create_task(self._write(call))
        reader = asyncio.create_task(self._read(call, greeting))
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
            if self._ending:
                await asyncio.wait((reader,))  # chat ends the stream when it has read all
            for task in (writer, reader):
                if task.done() and not task.cancelled():  # as grpc.aio's reader when the far end cancels
                    task.result()
        finally:
            writer.cancel()
            reader.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)
            call.cancel()

    async def _write(self, call: Call) -> None:
        while True:
            await self._wake.wait()
            if (pause := self._pace.wait(self._clock())) > 0:
                await asyncio.sleep(pause)
            if not self._staged:
                if self._ending:
                    await call.done_writing()
                    return
                self._wake.clear()
                continue
            request = self._staged.take()
            self._pace.sent(self._clock())
            self._metrics.link_frame("up")
            await call.write(request)

    async def _read(self, call: Call, response: object) -> None:
        while isinstance(response, pb.AttachResponse):  # else it is EOF
            self._metrics.link_frame("down")
            if response.draining and self._others_than_present():
                self._leaving = True
            if response.outcomes:
                await failpoints.reach("edge.before_sent")
            for outcome in response.outcomes:
                self._backlog.done()
                sent = outcome.HasField("sent")
                self._answer(outcome.tag, outcome.sent if sent else failure_of(outcome.failure))
            self._receiver.link_received(response)
            if self._leaving:
                return
            response = await call.read()

    def _others_than_present(self) -> bool:
        return any(instance.name != self.attached_to for instance in self._chat.instances())


def _cancelled_ourselves() -> bool:
    """Whether this task is to end; else the CancelledError at hand is the far end's doing."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
