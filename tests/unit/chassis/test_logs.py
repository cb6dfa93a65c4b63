"""What a line of a log holds, and what it never holds."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from chassis import logs

Lines = Callable[[], list[dict[str, Any]]]
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines that were written."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        logs.setup(service="chat", instance="chat-1", level="info", fmt="json")
    yield lambda: [json.loads(line) for line in stdout.getvalue().split("\n")[:-1]]
    root.handlers[:] = handlers
    root.setLevel(level)
    for package in logs.OURS:
        logging.getLogger(package).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def ours() -> Any:
    """A logger as a module of a service has one, but new: configured ones are remembered for ever."""
    return structlog.stdlib.BoundLogger(
        logging.getLogger("services.chat"), structlog.get_config()["processors"], {"part": "chat"}
    )


def test_a_line_has_its_fields(lines: Lines) -> None:
    """When, how bad, what, which process, and the identifiers."""
    ours().info("room_created", room=7)
    [line] = lines()
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info",
        "event": "room_created",
        "service": "chat",
        "instance": "chat-1",
        "part": "chat",
        "room": 7,
    }


def test_a_librarys_line_has_the_same_form(lines: Lines) -> None:
    """From any thread, with its arguments filled in."""
    thread = threading.Thread(target=logging.getLogger("redis.connection").error, args=("%s is gone", "node"))
    thread.start()
    thread.join()
    [line] = lines()
    assert (line["level"], line["event"], line["service"], line["instance"]) == (
        "error",
        "node is gone",
        "chat",
        "chat-1",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "canary"},
        {"refresh_token": "canary"},
        {"dsn": "canary"},
        {"text": "canary"},
        {"body": b"canary"},
        {"problem": "cannot reach postgresql://chat:canary@127.0.0.1:5432/polychat"},
        {"problem": "cannot reach redis://:canary@127.0.0.1:6379/0"},
        {"header": "Bearer canary-0123456789"},
        {"problems": {"redis": ["redis://:canary@127.0.0.1"], "token": "canary"}},
        {"header": JWT},
    ],
)
def test_no_secret_and_no_body_gets_out(lines: Lines, fields: dict[str, Any]) -> None:
    """By the name of the field or by the look of the text, however deep."""
    ours().warning("something", **fields)
    [line] = lines()
    shown = json.dumps(line)
    assert "canary" not in shown
    assert JWT not in shown
    assert "***" in shown


@pytest.mark.parametrize("name", ["services.chat", "redis.connection"])
def test_an_exception_gives_no_secret_away(lines: Lines, name: str) -> None:
    """Drivers put addresses with passwords into their texts."""
    try:
        raise ConnectionError("redis://:canary@127.0.0.1:6379 refused, authorization: bearer " + JWT)
    except ConnectionError:
        logging.getLogger(name).exception("failed")
    [line] = lines()
    assert "ConnectionError" in line["exception"]
    assert "canary" not in line["exception"]
    assert JWT not in line["exception"]


def test_the_level_is_ours_alone(lines: Lines) -> None:
    """Debugging us does not open the flood of the libraries, which may print what they send."""
    logs.set_level("debug")
    ours().debug("detail")
    logging.getLogger("redis").info("sent canary")
    logging.getLogger("asyncpg").debug("sent canary")
    assert [line["event"] for line in lines()] == ["detail"]


def test_the_level_changes_while_running(lines: Lines) -> None:
    """Both ways, for libraries as well."""
    logs.set_level("error")
    ours().warning("hidden")
    logging.getLogger("redis").warning("hidden too")
    logs.set_level("info")
    ours().info("shown")
    assert [line["event"] for line in lines()] == ["shown"]


def test_a_line_is_one_line(lines: Lines) -> None:
    """Whatever a user manages to get into it."""
    ours().info("odd", name='a\nb\r\n{"level": "error"}\u2028')
    [line] = lines()
    assert line["name"].startswith("a\nb")
