"""What can go wrong, as the server says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from polychat.edge.v1 import server_frame_pb2


class PolychatError(Exception):
    """An answer with a reason.

    `retryable`: the same request id may be sent again, after `retry_after` seconds.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})

    @classmethod
    def of_frame(cls, error: server_frame_pb2.Error) -> PolychatError:
        """From an `error` frame."""
        wait = error.retry_after.ToTimedelta().total_seconds() if error.HasField("retry_after") else None
        return cls(
            error.code,
            error.reason,
            error.message,
            retryable=error.retryable,
            retry_after=wait,
            metadata=MessageToDict(error.metadata),
        )


class Disconnected(Exception):  # noqa: N818 — a state, as the caller sees it
    """The connection ended before the answer came; for a `call` it is not known whether it took effect."""


class Stopped(PolychatError):  # noqa: N818 — a state, as the caller sees it
    """The server closed the connection for good (42xx): connecting again would not help."""

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(
            "UNAUTHENTICATED", str(close_code), reason or "the server closed the connection for good"
        )
        self.close_code = close_code
