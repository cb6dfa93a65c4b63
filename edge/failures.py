"""What clients are told: bugs under a trace id, and failures as chat told them."""

from __future__ import annotations

import secrets

from polychat.internal.link.v1 import link_service_pb2 as pb

from chassis import logs
from chassis.errors import Code, Failure, RemoteFailure
from chassis.interceptors import InternalError

log = logs.get("edge")


def failure_from(error: Exception, where: str) -> Failure:
    """The failure to answer with; anything else than a Failure is logged once, under its trace id."""
    if isinstance(error, Failure):
        return error
    trace_id = secrets.token_hex(8)
    log.error("request_failed", where=where, trace_id=trace_id, exc_info=error)
    return InternalError(trace_id=trace_id)


def failure_of(failure: pb.Failure) -> Failure:
    """A failure as chat told it."""
    code = Code(failure.code) if failure.code in Code.__members__ else Code.INTERNAL
    after = failure.retry_after_millis / 1000 if failure.retry_after_millis else None
    return RemoteFailure(
        code, failure.reason, failure.message, retry_after=after, metadata=dict(failure.metadata)
    )
