"""More connections than one address, or the process, may have."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import InvalidStatus

from edge.config import EdgeLiveSettings
from tests.support.edge_client import Here, client, open_here, raw_client, until
from tests.support.eventually import eventually

REQUEST = b"GET /livez HTTP/1.1\r\nhost: edge\r\n\r\n"


@asynccontextmanager
async def plain(here: Here) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has asked for something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.edge.http_port)
    writer.write(REQUEST)
    yield reader, writer
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def status(reader: asyncio.StreamReader) -> bytes:
    """Of the next answer."""
    async with asyncio.timeout(5):
        return (await reader.readline()).split()[1]


async def test_one_address_has_so_many_plain_connections() -> None:
    """The next is told 503 before it is read, and comes in when another has ended."""
    async with open_here(trusted_addresses=()) as here:
        here.limits[0] = EdgeLiveSettings(http_connections_per_address=2)
        async with plain(here) as (one, ending), plain(here) as (two, _):
            assert [await status(one), await status(two)] == [b"200", b"200"]
            async with plain(here) as (three, _):
                assert await status(three) == b"503"
            ending.close()
            await ending.wait_closed()

            async def free() -> bool:
                async with plain(here) as (four, _):
                    return await status(four) == b"200"

            await eventually(free, seconds=5, what="room for one more")


async def test_an_upgraded_connection_is_no_plain_one() -> None:
    async with open_here(trusted_addresses=()) as here:
        here.limits[0] = EdgeLiveSettings(http_connections_per_address=1)
        async with client(here, 1), client(here, 2), plain(here) as (reader, _):
            assert await status(reader) == b"200"


async def test_the_process_has_so_many_connections() -> None:
    """The next is told to come back, also from a trusted address."""
    async with open_here() as here:
        here.limits[0] = EdgeLiveSettings(connections=1)
        async with client(here, 1):
            with pytest.raises(InvalidStatus) as refused:
                async with raw_client(here):
                    pass
            assert refused.value.response.status_code == 503
        await until(lambda: not here.edge.sessions.peers)
        async with client(here, 1):
            pass
