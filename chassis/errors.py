"""One type for every error that a caller may see.

A service declares one subclass of `Failure` per reason; `chassis.status` turns it into a
`google.rpc.Status` and back. Nothing in here knows gRPC, so domain code may import it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class Code(enum.StrEnum):
    """The `google.rpc.Code` names that Polychat answers with."""

    ABORTED = "ABORTED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    INTERNAL = "INTERNAL"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    UNAVAILABLE = "UNAVAILABLE"
    UNIMPLEMENTED = "UNIMPLEMENTED"


RETRYABLE = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.DEADLINE_EXCEEDED})


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field: its path in the request (proto names) and a sentence."""

    field: str
    description: str


class Failure(Exception):  # noqa: N818 — the noun of the project: an outcome, not a programming error
    """An error with a reason that its caller can act on.

    Subclasses set `code`, `reason` (a name of `polychat.error.v1.ErrorReason` without its prefix)
    and `text`, the default message, which may use the metadata as format fields.
    """

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL"
    text: ClassVar[str] = "an internal error; nothing more is known"

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        violations: Sequence[FieldViolation] = (),
        **metadata: str,
    ) -> None:
        self.message = message if message is not None else self.text.format(**metadata)
        self.retry_after = retry_after
        """Seconds to wait before the same request is sent again; None: not said."""
        self.violations = tuple(violations)
        self.metadata = metadata
        super().__init__(self.message)

    @property
    def retryable(self) -> bool:
        """The same request, with the same request id, may succeed later."""
        return self.code in RETRYABLE


class InvalidField(Failure):
    """A field has a shape or value that is not allowed."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_FIELD"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}", violations=[FieldViolation(field, description)])


class InvalidRequest(Failure):
    """Several fields are wrong at once."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_FIELD"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        text = "; ".join(f"{v.field}: {v.description}" for v in violations)
        super().__init__(text, violations=violations)


class PageTokenInvalid(Failure):
    """The page token was not made by this method for this caller and these arguments."""

    code = Code.INVALID_ARGUMENT
    reason = "PAGE_TOKEN_INVALID"
    text = "the page token was not made by this method for these arguments; start again without it"


class BackendUnavailable(Failure):
    """Something this process stands on does not answer; nothing was changed."""

    code = Code.UNAVAILABLE
    reason = "BACKEND_UNAVAILABLE"
    text = "{backend} does not answer; try again"

    def __init__(self, backend: str, *, retry_after: float | None = 1.0) -> None:
        super().__init__(retry_after=retry_after, backend=backend)


class OutcomeUnknown(Failure):
    """The request was accepted and its end is not known; the same request id is safe to send again."""

    code = Code.UNAVAILABLE
    reason = "OUTCOME_UNKNOWN"
    text = "the outcome is not known yet; send again with the same request id"


class Overloaded(Failure):
    """A bounded queue is full; nothing was changed."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"
    text = "too much work is waiting; try again later"


class RateLimited(Failure):
    """The caller does this too often."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"
    text = "too many requests; wait before the next"


class TokenMissing(Failure):
    """The method needs an access token and none came."""

    code = Code.UNAUTHENTICATED
    reason = "TOKEN_MISSING"
    text = "an access token is needed: authorization: Bearer <token>"


class TokenInvalid(Failure):
    """The access token is not one that we issued for this purpose."""

    code = Code.UNAUTHENTICATED
    reason = "TOKEN_INVALID"
    text = "the access token is not valid"


class TokenExpired(Failure):
    """The access token was valid once; refresh the session."""

    code = Code.UNAUTHENTICATED
    reason = "TOKEN_EXPIRED"
    text = "the access token has expired; refresh it"


class SessionRevoked(Failure):
    """The session was ended; sign in again."""

    code = Code.UNAUTHENTICATED
    reason = "SESSION_REVOKED"
    text = "the session was ended; sign in again"


class InternalCallerRequired(Failure):
    """The method is for the processes of the system only."""

    code = Code.PERMISSION_DENIED
    reason = "INTERNAL_CALLER_REQUIRED"
    text = "this method is internal"


class Unimplemented(Failure):
    """The method exists in the contract and is not built yet."""

    code = Code.UNIMPLEMENTED
    reason = "UNIMPLEMENTED"
    text = "this method is not implemented yet"


class RemoteFailure(Failure):
    """A failure that another service answered, carried on with its own code and reason."""

    def __init__(
        self,
        code: Code,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        violations: Sequence[FieldViolation] = (),
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after, violations=violations)
        # An instance has its own code and reason here, where the other classes have one each.
        self.code = code  # type: ignore[misc]
        self.reason = reason  # type: ignore[misc]
        self.metadata = dict(metadata or {})
