"""The shape of a request, checked against the rules in its `.proto` (protovalidate)."""

from __future__ import annotations

import protovalidate
from google.protobuf.message import Message

from chassis.errors import FieldViolation, InvalidRequest

MAX_VIOLATIONS = 10
"""A status travels in trailers of 16 KiB; a request with a thousand bad items must still get its answer."""


def validate(message: Message) -> None:
    """Raises InvalidRequest with a violation per field that breaks a rule, at most MAX_VIOLATIONS."""
    found = protovalidate.collect_violations(message)
    if found:
        raise InvalidRequest([FieldViolation(_path(v), v.proto.message) for v in found[:MAX_VIOLATIONS]])


def _path(violation: protovalidate.Violation) -> str:
    parts = []
    for element in violation.proto.field.elements if violation.proto.field else ():
        place = f"[{element.subscript.value}]" if element.subscript is not None else ""
        parts.append(element.field_name + place)
    return ".".join(parts) or "request"
