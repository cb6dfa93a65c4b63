"""A bug, as the client is told of it."""

from __future__ import annotations

import secrets

from chassis import logs
from chassis.errors import Failure
from chassis.interceptors import InternalError

log = logs.get("edge")


def failure_from(error: Exception, where: str) -> Failure:
    """The failure to answer with; anything else than a Failure is logged once, under its trace id."""
    if isinstance(error, Failure):
        return error
    trace_id = secrets.token_hex(8)
    log.error("request_failed", where=where, trace_id=trace_id, exc_info=error)
    return InternalError(trace_id=trace_id)
