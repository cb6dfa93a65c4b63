"""toxiproxy between processes: slow, narrow, silent and cut links, one HTTP call a change."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from tests.support.go_built import go_built
from tests.support.sockets import peer_port, sockets_of

PACKAGE = "github.com/Shopify/toxiproxy/v2/cmd/server"
VERSION = "v2.12.0"
START_SECONDS = 10.0
CALL_SECONDS = 10.0
STREAMS = ("upstream", "downstream")


class Toxiproxy:
    """A running toxiproxy. Links are named; each is a port of ours that leads to a port of a server."""

    def __init__(self, api: str, pid: int) -> None:
        self._api = api
        self._pid = pid

    @asynccontextmanager
    async def toxic(self, link: str, kind: str, **attributes: int) -> AsyncIterator[None]:
        """What toxiproxy calls a toxic, in both directions of every connection while the block lasts.

        The end of `timeout` closes the connections that it silenced.
        """
        async with self._toxics(link, kind, STREAMS, attributes):
            yield

    @asynccontextmanager
    async def silent(self, link: str, stream: str) -> AsyncIterator[None]:
        """Nothing comes through in one of STREAMS; the end of the block closes the connections."""
        async with self._toxics(link, "timeout", (stream,), {"timeout": 0}):
            yield

    @asynccontextmanager
    async def _toxics(
        self, link: str, kind: str, streams: Sequence[str], attributes: Mapping[str, int]
    ) -> AsyncIterator[None]:
        toxics = f"/proxies/{link}/toxics"
        try:
            for stream in streams:
                name = f"{kind}-{stream}"
                body = {"name": name, "type": kind, "stream": stream, "attributes": attributes}
                await self._call("POST", toxics, body)
            yield
        finally:
            for stream in streams:
                await self._call("DELETE", f"{toxics}/{kind}-{stream}")

    @asynccontextmanager
    async def cut(self, link: str) -> AsyncIterator[None]:
        """Every connection is closed, and new ones are refused while the block lasts."""
        await self._call("POST", f"/proxies/{link}", {"enabled": False})
        try:
            yield
        finally:
            await self._call("POST", f"/proxies/{link}", {"enabled": True})

    async def reset(self, link: str) -> int:
        """Every connection ends with a TCP reset at both ends, at once; gives how many sockets that were."""
        way = await self._call("GET", f"/proxies/{link}")
        ports = _port(way["listen"]), _port(way["upstream"])
        sockets = sum(_end_by_reset(end, *ports) for end in sockets_of(self._pid))
        async with self.cut(link):
            return sockets

    async def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, str]:
        async with httpx.AsyncClient(base_url=self._api, timeout=CALL_SECONDS, trust_env=False) as http:
            answer = await http.request(method, path, json=body)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}


@contextmanager
def running_toxiproxy(port: int, links: Mapping[str, tuple[int, int]], log: Path) -> Iterator[Toxiproxy]:
    """toxiproxy with its HTTP interface on `port`; `links` are ports by name: listened on, and led to."""
    program = asyncio.run(go_built("toxiproxy", PACKAGE, VERSION))
    api = f"http://127.0.0.1:{port}"
    with log.open("ab") as output:
        command = (str(program), "-host", "127.0.0.1", "-port", str(port))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        transport = httpx.HTTPTransport(retries=10)  # it listens in a moment
        with httpx.Client(base_url=api, timeout=START_SECONDS, transport=transport) as http:
            for name, (listen, upstream) in links.items():
                ends = {"listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{upstream}"}
                http.post("/proxies", json={"name": name, "enabled": True, **ends}).raise_for_status()
        yield Toxiproxy(api, process.pid)
    finally:
        process.terminate()
        process.wait()


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _end_by_reset(end: socket.socket, listen: int, upstream: int) -> bool:
    """Arms a connection of a link so that closing it sends RST (SO_LINGER with 0 seconds, see socket(7))."""
    theirs = peer_port(end)
    if theirs is None or (listen != end.getsockname()[1] and theirs != upstream):
        return False
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True
