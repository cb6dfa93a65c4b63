"""WebSocket close codes: the hundred tells the client what to do."""

from __future__ import annotations

import enum

from chassis.errors import Code, Failure


class CloseCode(enum.IntEnum):
    """1000/1001: nothing. 40xx: reconnect with backoff. 41xx: act, then reconnect. 42xx: stop."""

    NORMAL = 1000
    SHUTTING_DOWN = 4000
    INTERNAL = 4001
    SLOW = 4002
    NO_HEARTBEAT = 4003
    TOKEN_EXPIRED = 4101
    RATE_LIMITED = 4103
    OVERLOADED = 4104
    UNAUTHENTICATED = 4200
    BAD_FRAME = 4201
    UNSUPPORTED_PROTOCOL = 4202
    BANNED = 4203
    TOO_MANY_CONNECTIONS = 4205
    ORIGIN_REFUSED = 4206
    HELLO_TOO_LATE = 4207


_BY_REASON = {
    "TOKEN_EXPIRED": CloseCode.TOKEN_EXPIRED,
    "RATE_LIMITED": CloseCode.RATE_LIMITED,
    "TOO_MANY_CONNECTIONS": CloseCode.TOO_MANY_CONNECTIONS,
    "HELLO_TOO_LATE": CloseCode.HELLO_TOO_LATE,
}
_BY_CODE = {
    Code.UNAUTHENTICATED: CloseCode.UNAUTHENTICATED,
    Code.PERMISSION_DENIED: CloseCode.BANNED,
    Code.RESOURCE_EXHAUSTED: CloseCode.OVERLOADED,
    Code.INVALID_ARGUMENT: CloseCode.BAD_FRAME,
}


def close_code_for(failure: Failure) -> CloseCode:
    """The code a connection closes with when this failure ends it; 4001 when nothing closer is known."""
    return _BY_REASON.get(failure.reason) or _BY_CODE.get(failure.code, CloseCode.INTERNAL)


_STATUS = {
    CloseCode.TOKEN_EXPIRED: Code.UNAUTHENTICATED,
    CloseCode.UNAUTHENTICATED: Code.UNAUTHENTICATED,
    CloseCode.RATE_LIMITED: Code.RESOURCE_EXHAUSTED,
    CloseCode.OVERLOADED: Code.RESOURCE_EXHAUSTED,
    CloseCode.TOO_MANY_CONNECTIONS: Code.RESOURCE_EXHAUSTED,
    CloseCode.BAD_FRAME: Code.INVALID_ARGUMENT,
    CloseCode.BANNED: Code.PERMISSION_DENIED,
    CloseCode.HELLO_TOO_LATE: Code.DEADLINE_EXCEEDED,
}


def status_code_for(code: CloseCode) -> Code:
    """The gRPC status that ends `EdgeService.Session` where a WebSocket would close with this code."""
    return _STATUS.get(code, Code.UNAVAILABLE)
