"""A write just after the end of a connection, as every driver's caller expects it: a ConnectionError."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

_SIGN = "the handler is closed"


def is_closed(error: BaseException | None) -> bool:
    """Whether uvloop says so.

    Between the moment in which uvloop closes a socket and the one in which a driver notices, a write
    raises a bare RuntimeError (uvloop's UVHandle._ensure_alive); drivers wait for OSError and let it pass.
    """
    return isinstance(error, RuntimeError) and _SIGN in str(error)


class _ClosedIsLost(AbstractContextManager[None]):
    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if is_closed(error):
            raise ConnectionResetError(str(error)) from error


_CLOSED_IS_LOST = _ClosedIsLost()


def closed_is_lost() -> AbstractContextManager[None]:
    """Raises ConnectionResetError where uvloop says RuntimeError."""
    return _CLOSED_IS_LOST
