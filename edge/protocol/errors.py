"""Failures that the edge itself answers, one class per reason."""

from __future__ import annotations

from chassis.errors import Code, Failure


class FrameInvalid(Failure):
    """The frame is not of the agreed codec, too deeply nested, or has no known body."""

    code = Code.INVALID_ARGUMENT
    reason = "FRAME_INVALID"

    def __init__(self, detail: str) -> None:
        super().__init__(f"the frame cannot be read: {detail}")


class FrameTooLarge(Failure):
    """The frame has more bytes than it may."""

    code = Code.INVALID_ARGUMENT
    reason = "FRAME_TOO_LARGE"
    text = "a frame has at most {limit} bytes"


class HelloRequired(Failure):
    """Another frame came before `hello`."""

    code = Code.UNAUTHENTICATED
    reason = "HELLO_REQUIRED"
    text = "the first frame is hello"


class HelloRepeated(Failure):
    """A second `hello`; the connection lives."""

    code = Code.FAILED_PRECONDITION
    reason = "HELLO_REPEATED"
    text = "this connection has said hello before"


class HelloTooLate(Failure):
    """No `hello` in time."""

    code = Code.DEADLINE_EXCEEDED
    reason = "HELLO_TOO_LATE"
    text = "no hello in time"


class TooManyConnections(Failure):
    """The user has as many connections as one may have."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_CONNECTIONS"
    text = "at most {limit} connections a user"


class MethodNotFound(Failure):
    """There is no public method of this name."""

    code = Code.UNIMPLEMENTED
    reason = "METHOD_NOT_FOUND"
    text = "there is no method {method}"


class MethodNotAllowed(Failure):
    """The method exists and cannot be called this way."""

    code = Code.PERMISSION_DENIED
    reason = "METHOD_NOT_ALLOWED"
    text = "{method} cannot be called this way"
