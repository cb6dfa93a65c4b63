"""A write just after the end of a connection, as every driver's caller expects it: a ConnectionError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_SIGN = "the handler is closed"


@contextmanager
def closed_is_lost() -> Iterator[None]:
    """Raises ConnectionResetError where uvloop says RuntimeError.

    Between the moment in which uvloop closes a socket and the one in which a driver notices, a write
    raises a bare RuntimeError (uvloop's UVHandle._ensure_alive); drivers wait for OSError and let it pass.
    """
    try:
        yield
    except RuntimeError as error:
        if _SIGN not in str(error):
            raise
        raise ConnectionResetError(str(error)) from error
