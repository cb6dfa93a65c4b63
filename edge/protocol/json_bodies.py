"""JSON into a message, for bodies that are not hot."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

_UNKNOWN_FIELD = "has no field named"


def loads(data: bytes) -> Any:
    """JSON text (RFC 8259: no NaN, no Infinity). ValueError when it is none; depth must be checked before."""
    try:
        return json.loads(data, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse(body: Any, message: M) -> M:
    """Fills the message from a JSON object. ValueError says what is wrong.

    Fields of a later version are passed over. `json_format` would then pass over misspelt enum values
    as well, so that is only asked of it when there is an unknown field.
    """
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")
    try:
        return json_format.ParseDict(body, message)
    except json_format.ParseError as error:
        if _UNKNOWN_FIELD not in str(error):
            raise ValueError(str(error)) from error
    except TypeError as error:
        raise ValueError(str(error)) from error
    message.Clear()
    try:
        return json_format.ParseDict(body, message, ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError) as error:
        raise ValueError(str(error)) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
