"""What all clients of a swarm did and saw, written down as it happened."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import NamedTuple

from tests.support.history import Kind, Record, Stored

LOOK_SECONDS = 0.25

Place = tuple[str, int]
"""A client in a room: what one of them has in one room says nothing of any other."""


class Answer(NamedTuple):
    """A `sent`, with the times of its message."""

    place: Place
    sequence: int
    began: float
    answered: float


class Journal:
    """The common history. `complaints` are breaches that no record shows, such as a refused send."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.complaints: list[str] = []
        self.slowest_answer = 0.0
        self.stood_still = 0.0
        """Seconds for which this process did not get to run, at most: it sees everybody late by that."""
        self.bursts = 0
        self._invoked: dict[str, float] = {}
        self._answers: list[Answer] = []
        self._latest: dict[Place, Answer] = {}
        self._shown: dict[Place, int] = {}
        """The sequence that was received last."""

    def note(
        self,
        client: str,
        user: int,
        kind: Kind,
        room: int,
        *,
        sequence: int = 0,
        to_sequence: int = 0,
        request_id: str = "",
        message_id: int = 0,
        body: str | None = None,
        unread: int = 0,
        subject: int = 0,
        began: float = 0.0,
        shown: Stored | None = None,
    ) -> None:
        """Writes one line, now."""
        now = time.monotonic()
        if kind is Kind.INVOKE:
            self._invoked[request_id] = now
        elif kind is Kind.OK:
            answer = Answer((client, room), sequence, self._invoked[request_id], now)
            self._latest[client, room] = answer
            self._answers.append(answer)
        elif kind is Kind.RECEIVE:
            self._shown[client, room] = sequence
        self.records.append(
            Record(
                client,
                user,
                now,
                kind,
                room,
                sequence,
                to_sequence,
                request_id,
                message_id,
                body,
                unread,
                subject,
                began,
                shown,
            )
        )

    def answered_in(self, seconds: float) -> None:
        """Keeps the longest time from a request to its answer or the end of its connection."""
        self.slowest_answer = max(self.slowest_answer, seconds)

    async def look_at_the_loop(self) -> None:
        """Keeps how long the loop stood still; ends only when cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            self.stood_still = max(self.stood_still, time.monotonic() - before - LOOK_SECONDS)

    def began(self, request_id: str) -> float:
        """When a send was begun for the first time."""
        return self._invoked[request_id]

    def first_answers(self, since: float) -> dict[Place, Answer]:
        """The first `sent` of each client in each room for a message begun after `since`."""
        found: dict[Place, Answer] = {}
        for answer in reversed(self._answers):
            if answer.answered < since:
                break
            if answer.began >= since:
                found[answer.place] = answer
        return found

    def quick(self, since: float, seconds: float) -> set[Place]:
        """Whose last answered message was begun after `since` and took no longer than `seconds`."""
        return {
            place
            for place, last in self._latest.items()
            if last.began >= since and last.answered - last.began <= seconds
        }

    def reached(self, since: float) -> set[Place]:
        """Who was shown an event of a room that is no older than its first message begun after `since`."""
        first: dict[int, int] = {}
        for (_, room), answer in self.first_answers(since).items():
            first[room] = min(answer.sequence, first.get(room, answer.sequence))
        return {
            (client, room)
            for (client, room), sequence in self._shown.items()
            if room in first and sequence >= first[room]
        }

    def count(self, since: float, until: float) -> Counter[Kind]:
        """How many records of each kind fall into a stretch of time."""
        return Counter(record.kind for record in self.records if since <= record.time < until)
