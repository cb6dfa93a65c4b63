"""Which of the edge processes that share a port has the other end of a connection."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.support.stack import Stack
from tests.support.transports import JsonSocket, open_json

TRIES = 100
"""The kernel spreads connections by a hash: a hundred on one of two edges is no accident."""


def edge_of(stack: Stack, client_port: int) -> str:
    """The name of the edge that serves the connection from this port of ours, `edge-1`."""
    server = f":{int(stack.http_url.rpartition(':')[2]):04X}"
    client = f":{client_port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(server) and fields[2].endswith(client):
            target = f"socket:[{fields[9]}]"
            return next(name for name in edges(stack) if target in _sockets(stack.pid(name)))
    raise LookupError(f"no connection from port {client_port}")


def edges(stack: Stack) -> list[str]:
    """The names of the edge processes."""
    return [part["part"] for part in stack.state()["parts"] if part["part"].startswith("edge-")]


@asynccontextmanager
async def on_each_edge(stack: Stack) -> AsyncIterator[list[JsonSocket]]:
    """One connection to each edge process, none of which has said hello."""
    found: dict[str, JsonSocket] = {}
    async with AsyncExitStack() as open_ones:
        for _ in range(TRIES):
            socket = await open_json(stack.ws_url)
            open_ones.push_async_callback(socket.close)
            found.setdefault(edge_of(stack, socket.local_port), socket)
            if len(found) == len(edges(stack)):
                break
        yield list(found.values())


def _sockets(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found
