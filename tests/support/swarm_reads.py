"""What a swarm's client says that it has read: one receipt at a time, until it has a definite answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from tests.support.history import Kind
from tests.support.peer import Refused
from tests.support.transports import Closed, Frame

AGAIN_SECONDS = 0.5
"""Before a receipt is said again, when the refusal does not tell."""


class Asking(Protocol):
    """The part of a Peer that is needed here."""

    async def ask(self, body: Frame) -> Frame:
        """See Peer."""


class Note(Protocol):
    """Writes a record of the client."""

    def __call__(
        self, kind: Kind, room: int, *, sequence: int = 0, body: str = "", began: float = 0.0
    ) -> None: ...


class Reads:
    """Of one client. `connection` gives its connection, as soon as there is one."""

    def __init__(
        self, connection: Callable[[], Awaitable[Asking]], note: Note, complain: Callable[[str], None]
    ) -> None:
        self._connection = connection
        self._note = note
        self._complain = complain
        self._saying: asyncio.Task[None] | None = None

    def say(self, room: int, sequence: int) -> None:
        """Begins to say that everything up to an event was read, unless the one before has no answer yet."""
        if self._saying is None or self._saying.done():
            self._saying = asyncio.create_task(self._until_answered(room, sequence))

    async def answered(self) -> None:
        """Until nothing is on its way."""
        if self._saying is not None:
            await asyncio.wait([self._saying])

    def end(self) -> None:
        """Nobody waits for an answer any more."""
        if self._saying is not None:
            self._saying.cancel()

    async def _until_answered(self, room: int, sequence: int) -> None:
        self._note(Kind.READING, room, sequence=sequence)
        receipt = {"receipt": {"roomId": str(room), "readSequence": str(sequence)}}
        while True:
            peer = await self._connection()
            began = time.monotonic()
            try:
                await peer.ask(receipt)
            except Closed:
                continue
            except TimeoutError:
                self._complain(
                    f"got neither an answer nor a close for its receipt at {sequence} of room {room}"
                )
            except Refused as error:
                # An expired token is renewed beside this, or the connection ends by it.
                if not error.retryable and error.reason != "TOKEN_EXPIRED":
                    self._note(Kind.DENIED, room, sequence=sequence, body=error.reason)
                    return
                await asyncio.sleep(error.retry_after or AGAIN_SECONDS)
            else:
                self._note(Kind.READ, room, sequence=sequence, began=began)
                return
