"""Errors on HTTP, as the Connect protocol has them: a status of the code and a JSON body."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from google.protobuf import json_format
from google.rpc import error_details_pb2

from chassis.errors import Code, Failure
from chassis.status import to_status

HTTP_STATUS = {
    Code.ABORTED: 409,
    Code.ALREADY_EXISTS: 409,
    Code.CANCELLED: 499,
    Code.DEADLINE_EXCEEDED: 504,
    Code.FAILED_PRECONDITION: 400,
    Code.INTERNAL: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNAUTHENTICATED: 401,
    Code.UNAVAILABLE: 503,
    Code.UNIMPLEMENTED: 501,
}
_DETAILS = {
    message.DESCRIPTOR.full_name: message
    for message in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
}


def error_body(failure: Failure) -> bytes:
    """The JSON body: code, message, and the details with a readable `debug` of each."""
    details = []
    for packed in to_status(failure).details:
        name = packed.type_url.rpartition("/")[2]
        details.append(
            {
                "type": name,
                "value": base64.b64encode(packed.value).decode().rstrip("="),
                "debug": _debug(name, packed.value),
            }
        )
    code = "canceled" if failure.code is Code.CANCELLED else failure.code.lower()
    return msgspec.json.encode({"code": code, "message": failure.message, "details": details})


def _debug(name: str, value: bytes) -> dict[str, Any]:
    detail = _DETAILS[name].FromString(value)
    shown: dict[str, Any] = json_format.MessageToDict(detail)
    if isinstance(detail, error_details_pb2.ErrorInfo):
        shown.setdefault("metadata", {})
    return shown
