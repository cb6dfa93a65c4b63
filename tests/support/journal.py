"""What all clients of a swarm did and saw, written down as it happened."""

from __future__ import annotations

import time
from collections import Counter

from tests.support.history import Kind, Record


class Journal:
    """The common history. `complaints` are breaches that no record shows, such as a refused send."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.complaints: list[str] = []
        self.slowest_answer = 0.0
        self._invoked: dict[str, float] = {}
        self._latest: dict[str, tuple[float, float]] = {}
        """By client, when its last answered message was begun, and when it was answered."""

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
        body: str = "",
        unread: int = 0,
        subject: int = 0,
        began: float = 0.0,
    ) -> None:
        """Writes one line, now."""
        now = time.monotonic()
        if kind is Kind.INVOKE:
            self._invoked[request_id] = now
        elif kind is Kind.OK:
            self._latest[client] = (self._invoked[request_id], now)
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
            )
        )

    def answered_in(self, seconds: float) -> None:
        """Keeps the longest time from a request to its answer or the end of its connection."""
        self.slowest_answer = max(self.slowest_answer, seconds)

    def began(self, request_id: str) -> float:
        """When a send was begun for the first time."""
        return self._invoked[request_id]

    def first_answers(self, since: float) -> dict[str, float]:
        """By client, the time of its first `sent` for a message begun after `since`."""
        found: dict[str, float] = {}
        for record in reversed(self.records):
            if record.time < since:
                break
            if record.kind is Kind.OK and self._invoked[record.request_id] >= since:
                found[record.client] = record.time
        return found

    def quick(self, since: float, seconds: float) -> set[str]:
        """Clients whose last answered message was begun after `since` and took no longer than `seconds`."""
        return {
            client
            for client, (began, answered) in self._latest.items()
            if began >= since and answered - began <= seconds
        }

    def count(self, since: float, until: float) -> Counter[Kind]:
        """How many records of each kind fall into a stretch of time."""
        return Counter(record.kind for record in self.records if since <= record.time < until)
