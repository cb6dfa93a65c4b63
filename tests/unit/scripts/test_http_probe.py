"""Asking a part over HTTP whether it can be used."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.stack.consul import http_get
from scripts.stack.errors import NotReadyError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that gives one answer, whatever it is asked; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/readyz"
        thread.join(20)


def test_an_answer_of_200_is_ready() -> None:
    """Nothing is raised."""
    with answering(OK) as url:
        http_get(url)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK.replace(b"200 OK", b"503 Not yet"), id="503"),
        pytest.param(OK.replace(b"200 OK", b"204 Empty"), id="204"),
        pytest.param(b"", id="closed"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x50", id="not HTTP"),
        pytest.param(b"HTTP/1.1 20x\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", id="200 headers"),
    ],
)
def test_anything_else_is_not_ready_yet(answer: bytes) -> None:
    """Not an error of the supervisor: a part that is starting or dying may answer anything."""
    with answering(answer) as url, pytest.raises(NotReadyError, match="readyz"):
        http_get(url)


def test_nobody_there_is_not_ready_yet() -> None:
    """The port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/readyz"
    with pytest.raises(NotReadyError, match="refused"):
        http_get(url)
