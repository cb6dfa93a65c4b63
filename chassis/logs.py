"""Structured logs: one JSON object a line on stdout, or colours on a terminal. Bodies never.

`event` is a stable snake_case name; identifiers are fields. `setup` is called once per process.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, cast

import structlog

Logger = structlog.stdlib.BoundLogger

SECRET_FIELDS = frozenset(
    {"password", "token", "access_token", "refresh_token", "authorization", "dsn", "text", "body"}
)
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def get(service: str) -> Logger:
    """The logger of a part of the process."""
    return cast(Logger, structlog.get_logger(part=service))


def setup(*, service: str, instance: str, level: str, fmt: str) -> None:
    """Configures logging of this process; libraries' warnings come out in the same form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
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
    structlog.contextvars.bind_contextvars(service=service, instance=instance)


def set_level(level: str) -> None:
    """Changes the level at run time; libraries stay at warning or above."""
    logging.getLogger().setLevel(LEVELS[level])
    for name in ("aiokafka", "asyncio", "grpc", "alembic", "consul", "websockets", "aiohttp"):
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))


def _scrub(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in SECRET_FIELDS & event.keys():
        event[key] = "***"
    return event
