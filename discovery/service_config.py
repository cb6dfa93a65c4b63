"""Deadlines and retries per method, as data: `service_config.json`, a gRPC service config.

The format is that of github.com/grpc/grpc/blob/master/doc/service_config.md. Every unary method has
a timeout; a retry policy has every method that is safe to repeat: without side effect, idempotent by
its definition, or deduplicated by its request id. What goes through the room log may take the 5 s
after which its service answers OUTCOME_UNKNOWN, so its caller waits a second longer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

_CONFIG: Final[Mapping[str, Any]] = json.loads(
    resources.files("discovery").joinpath("service_config.json").read_text()
)
DEFAULT_SECONDS: Final = 5.0
"""For a method that the file does not know, such as one of a newer contract."""


def _paths(entry: Mapping[str, Any]) -> list[str]:
    return [f"/{name['service']}/{name['method']}" for name in entry["name"]]


def _core_config() -> str:
    methods = [{key: entry[key] for key in entry if key != "timeout"} for entry in _CONFIG["methodConfig"]]
    return json.dumps({**_CONFIG, "methodConfig": methods})


CORE_CONFIG: Final = _core_config()
"""What the library is given: all but the timeouts, which `discovery.calls` sets."""

_TIMEOUTS: Final[Mapping[str, float | None]] = {
    path: float(entry["timeout"].removesuffix("s")) if "timeout" in entry else None
    for entry in _CONFIG["methodConfig"]
    for path in _paths(entry)
}


def timeout_of(method: str | bytes) -> float | None:
    """Seconds a call of `/package.Service/Method` may take; None for a stream that lives for ever."""
    path = method.decode() if isinstance(method, bytes) else method
    return _TIMEOUTS.get(path, DEFAULT_SECONDS)
