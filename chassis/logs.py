"""Structured logs: one JSON object a line on stdout, or colours on a terminal. Bodies never.

`event` is a stable snake_case name; identifiers are fields. `setup` is called once per process.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, cast

import structlog
from structlog.typing import EventDict

Logger = structlog.stdlib.BoundLogger

SECRET_FIELDS = frozenset(
    {
        *("password", "new_password", "token", "access_token", "refresh_token", "authorization", "cookie"),
        *("secret", "credential", "dsn", "postgres_dsn", "redis_url", "text", "body", "payload"),
    }
)
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
OURS = ("chassis", "discovery", "edge", "services", "scripts")
"""The packages that a level is for; libraries say warnings and worse only."""

_HIDDEN = "***"
_SECRETS_IN_TEXT = (
    (re.compile(r"(://[^:/@\s]*:)[^@\s]+(?=@)"), rf"\1{_HIDDEN}"),
    (re.compile(r"(?i)(bearer )[\w.~+/-]+"), rf"\1{_HIDDEN}"),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*"), _HIDDEN),
)
"""Passwords in URLs and access tokens, as they turn up in the texts of exceptions."""


def get(service: str) -> Logger:
    """The logger of a part of the process."""
    return cast(Logger, structlog.get_logger(part=service))


def setup(*, service: str, instance: str, level: str, fmt: str) -> None:
    """Configures logging of this process; libraries' warnings come out in the same form."""

    def name(_logger: object, _method: str, event: EventDict) -> EventDict:
        event.update(service=service, instance=instance)
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        name,
        structlog.processors.format_exc_info,
        _scrub,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if fmt == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Changes the level at run time; libraries stay at warning or above."""
    for package in OURS:
        logging.getLogger(package).setLevel(LEVELS[level])
    logging.getLogger().setLevel(max(LEVELS[level], logging.WARNING))
    # Thirty error lines a second while the broker is away; who uses it logs the outage itself, once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _scrub(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {key: _HIDDEN if key in SECRET_FIELDS else _clean(value) for key, value in event.items()}


def _clean(value: Any) -> Any:
    """A value without the secrets that we know the look of, also inside of lists and dicts."""
    if isinstance(value, str):
        for pattern, replacement in _SECRETS_IN_TEXT:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, dict):
        return {key: _HIDDEN if key in SECRET_FIELDS else _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
