"""I3, I6: the store's own log of each room."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.history.records import Logs, Violation


def check_logs(logs: Logs) -> Iterable[Violation]:
    """Sequences are 1, 2, 3 …, and so are the numbers of the messages among them."""
    for room, log in logs.items():
        for expected, event in enumerate(log, 1):
            if event.sequence != expected:
                yield Violation("I3", f"room {room} has {event.sequence} where {expected} belongs", (event,))
                break
        messages = [event for event in log if event.message_id and event.number is not None]
        for expected, event in enumerate(messages, 1):
            if event.number != expected:
                text = f"room {room} counts message {event.number} where {expected} belongs"
                yield Violation("I6", text, (event,))
                break
