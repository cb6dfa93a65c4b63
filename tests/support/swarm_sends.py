"""What a swarm's client sends: one message or a burst, again and again until each has a definite answer."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from edge.protocol.limits import IN_FLIGHT
from tests.support.history import Kind
from tests.support.journal import Journal
from tests.support.peer import Peer, Refused
from tests.support.transports import Closed

TYPING_SHARE = 0.1
"""Of its messages."""
BURST_SIZES = range(8, IN_FLIGHT - 3)
"""Messages. Four places are left for the other room, a receipt and a token; an edge takes 40 at once."""
BURST_PAUSE_SECONDS = (3.0, 6.0)
"""From the end of a burst to the next one of the same client, in whichever room: long enough for the edge
to let it send as much again."""
FRAMES_PER_SECOND = 20.0
"""Which an edge takes of a connection in the long run."""
AGAIN_SECONDS = 0.1
"""Before a message is sent again, when the refusal does not tell."""


class _Message(NamedTuple):
    request_id: str
    text: str


class Sends:
    """Of one client. `connection` gives its connection, as soon as there is one, and `refresh` a new token
    to it. Who `bursts` does so when its last burst is over for long enough."""

    def __init__(
        self,
        connection: Callable[[], Awaitable[Peer]],
        refresh: Callable[[], Awaitable[None]],
        note: Callable[..., None],
        complain: Callable[[str], None],
        journal: Journal,
        chance: random.Random,
        *,
        bursts: bool,
    ) -> None:
        self._connection = connection
        self._refresh = refresh
        self._note = note
        self._complain = complain
        self._journal = journal
        self._random = chance
        self._next_burst = 0.0 if bursts else math.inf

    async def turn(self, room: int, texts: Iterator[str]) -> None:
        """Sends the next text, or so many that it is a burst; returns when all are answered."""
        if time.monotonic() < self._next_burst:
            await self._until_answered(room, [next(texts)])
            return
        self._next_burst = math.inf  # one burst at a time
        self._journal.bursts += 1
        await self._until_answered(room, list(itertools.islice(texts, self._random.choice(BURST_SIZES))))
        self._next_burst = time.monotonic() + self._random.uniform(*BURST_PAUSE_SECONDS)

    async def _until_answered(self, room: int, texts: list[str]) -> None:
        """In rounds: whatever is left leaves again in the order of the beginning, on one connection."""
        left = [_Message(str(uuid.uuid4()), text) for text in texts]
        for message in left:
            self._note(Kind.INVOKE, room, request_id=message.request_id, body=message.text)
        left = await self._round(await self._connection(), room, left)
        while left:
            peer = await self._connection()
            for message in left:
                self._note(Kind.AGAIN, room, request_id=message.request_id)
            left = await self._round(peer, room, left)

    async def _round(self, peer: Peer, room: int, left: list[_Message]) -> list[_Message]:
        """Sends all without waiting between them; gives those without a definite answer."""
        if self._random.random() < TYPING_SHARE:
            with contextlib.suppress(Closed):
                await peer.transport.send({"typing": {"roomId": str(room)}})
        ends = await asyncio.gather(*(self._attempt(peer, room, message) for message in left))
        left = [message for message, end in zip(left, ends, strict=True) if end is not None]
        refusals = [end for end in ends if isinstance(end, Refused)]
        if any(refusal.reason == "TOKEN_EXPIRED" for refusal in refusals):
            await self._refresh()
        elif refusals:
            waits = [refusal.retry_after or AGAIN_SECONDS for refusal in refusals]
            await asyncio.sleep(max(len(left) / FRAMES_PER_SECOND, *waits))
        return left

    async def _attempt(
        self, peer: Peer, room: int, message: _Message
    ) -> Refused | Closed | TimeoutError | None:
        """Why it is to be sent again, or None."""
        request_id, began = message.request_id, time.monotonic()
        try:
            sent = await peer.send(room, message.text, request_id)
        except Refused as error:
            return self._refused(room, request_id, error)
        except Closed as error:
            self._note(Kind.UNKNOWN, room, request_id=request_id)
            return error
        except TimeoutError as error:
            self._note(Kind.UNKNOWN, room, request_id=request_id)
            self._complain(f"got neither an answer nor a close for {request_id}")
            return error
        finally:
            self._journal.answered_in(time.monotonic() - began)
        sequence, message_id = int(sent["sequence"]), int(sent["messageId"])
        self._note(Kind.OK, room, sequence=sequence, request_id=request_id, message_id=message_id)
        return None

    def _refused(self, room: int, request_id: str, error: Refused) -> Refused | None:
        if error.retryable or error.reason == "TOKEN_EXPIRED":
            unknown = error.reason == "OUTCOME_UNKNOWN"
            self._note(Kind.UNKNOWN if unknown else Kind.PUT_OFF, room, request_id=request_id)
            return error
        self._note(Kind.FAIL, room, request_id=request_id)
        self._complain(f"was refused: {error}")
        return None
