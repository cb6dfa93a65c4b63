"""`Failure` ↔ `google.rpc.Status`, mapped once each way (AIP-193)."""

from __future__ import annotations

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from chassis.errors import Code, Failure, FieldViolation, RemoteFailure

DOMAIN = "polychat"
STATUS_KEY = "grpc-status-details-bin"


def to_status(failure: Failure) -> status_pb2.Status:
    """The rich status: exactly one ErrorInfo, then BadRequest and RetryInfo where they apply."""
    status = status_pb2.Status(code=code_pb2.Code.Value(failure.code), message=failure.message)
    info = error_details_pb2.ErrorInfo(reason=failure.reason, domain=DOMAIN, metadata=failure.metadata)
    status.details.append(_any(info))
    if failure.violations:
        bad = error_details_pb2.BadRequest()
        for violation in failure.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        status.details.append(_any(bad))
    if failure.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(max(0, round(failure.retry_after * 1000)))
        status.details.append(_any(retry))
    return status


def from_status(status: status_pb2.Status) -> Failure:
    """The failure that a status of ours says; a status without ErrorInfo keeps its code only."""
    reason, metadata, retry_after = "", {}, None
    violations: list[FieldViolation] = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            violations = [FieldViolation(v.field, v.description) for v in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    known = status.code in code_pb2.Code.values()
    code = _code(code_pb2.Code.Name(status.code) if known else "")
    return RemoteFailure(
        code,
        reason or _default_reason(code),
        status.message,
        retry_after=retry_after,
        violations=violations,
        metadata=metadata,
    )


def from_rpc_error(error: grpc.aio.AioRpcError) -> Failure:
    """What a call of another service failed with, fit to be answered to our own caller.

    A status without details comes from the transport: UNAVAILABLE, and CANCELLED, which a server that
    leaves says of what it did not finish, become BACKEND_UNAVAILABLE, and DEADLINE_EXCEEDED stays; its text
    stays inside.
    """
    details = dict(error.trailing_metadata() or ()).get(STATUS_KEY)
    if isinstance(details, bytes):
        try:
            return from_status(status_pb2.Status.FromString(details))
        except DecodeError:
            pass  # not made by a service of ours; its code is all that can be believed
    left = error.code() is grpc.StatusCode.CANCELLED
    code = Code.UNAVAILABLE if left else _code(error.code().name)
    return RemoteFailure(code, _default_reason(code), "a service behind this one did not answer")


def _any(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _code(name: str) -> Code:
    return Code(name) if name in Code.__members__ else Code.INTERNAL


def _default_reason(code: Code) -> str:
    if code is Code.UNAVAILABLE:
        return "BACKEND_UNAVAILABLE"
    if code in (Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED):
        return str(code)
    return "INTERNAL"
