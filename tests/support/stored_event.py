"""An event as the product gives it, in a frame or on a page, as the checker compares it."""

from __future__ import annotations

from tests.support.api import Json
from tests.support.history import Stored


def stored_of(event: Json) -> Stored:
    """Of an event that is no message only its place."""
    message = event.get("messageCreated", {}).get("message")
    if message is None:
        return Stored(int(event["sequence"]))
    return Stored(
        int(event["sequence"]),
        event.get("requestId", ""),
        int(message["messageId"]),
        int(message.get("senderUserId", 0)),
        message.get("text", ""),
        int(message.get("messageNumber", 0)),
    )
