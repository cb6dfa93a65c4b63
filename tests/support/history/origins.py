"""I2, from the log back: everything that is stored was sent by somebody, and is one thing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.support.history.records import Kind, Logs, Record, Stored, Violation


def check_origins(history: Sequence[Record], logs: Logs) -> Iterable[Violation]:
    """Each stored message has an INVOKE, and an id that no other has, in whatever room."""
    begun = {(record.room, record.request_id) for record in history if record.kind is Kind.INVOKE}
    by_id: dict[int, Stored] = {}
    for room, log in logs.items():
        for event in log:
            if not event.message_id:
                continue
            if (room, event.request_id) not in begun:
                text = f"room {room} has a message at {event.sequence} that nobody sent"
                yield Violation("I2", text, (event,))
            first = by_id.setdefault(event.message_id, event)
            if first is not event:
                text = f"message id {event.message_id} is on two messages, one of them in room {room}"
                yield Violation("I2", text, (first, event))
