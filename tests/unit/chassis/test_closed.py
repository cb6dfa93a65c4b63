"""A write to a connection that has just ended is a lost connection, whatever the loop calls it."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio
import uvloop
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from chassis.closed import closed_is_lost
from chassis.errors import BackendUnavailable
from chassis.kafka import lost_when_closed
from chassis.postgres import store_errors
from chassis.redis import open_redis


async def _ended_writer() -> asyncio.StreamWriter:
    """Of a connection whose end the loop knows and its user does not."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.transport.abort()
        await asyncio.sleep(0)  # one turn of the loop: the transport is closed in it
    return writer


def test_a_write_after_the_end_is_a_lost_connection() -> None:
    """uvloop itself says RuntimeError."""

    async def write() -> None:
        writer = await _ended_writer()
        with pytest.raises(RuntimeError, match="the handler is closed"):
            writer.writelines([b"late"])
        with pytest.raises(ConnectionResetError), closed_is_lost():
            writer.writelines([b"late"])
        with pytest.raises(BackendUnavailable), store_errors():
            writer.writelines([b"late"])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write())


def test_redis_says_so_with_its_own_error() -> None:
    """So that everyone who waits for a lost connection sees one, and the pool lets it go."""

    async def write() -> None:
        client = open_redis("redis://127.0.0.1:1")
        connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        connection._writer = await _ended_writer()
        with pytest.raises(redis.exceptions.ConnectionError):
            await connection.send_packed_command([b"late"], check_health=False)
        assert not connection.is_connected
        await client.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write())


def test_kafka_says_so_with_its_own_error() -> None:
    """aiokafka's fetching ends for good at any error that is not one of its own."""

    class Client:
        def __init__(self, writer: asyncio.StreamWriter) -> None:
            self.writer = writer

        async def send(self, _node_id: int, request: bytes) -> None:
            self.writer.write(request)

        async def _metadata_update(self) -> bool:
            return True

    async def write() -> None:
        client = Client(await _ended_writer())
        lost_when_closed(client)
        with pytest.raises(KafkaConnectionError):
            await client.send(1, b"late")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write())


def test_kafka_asks_again_for_its_metadata() -> None:
    """aiokafka's task that asks for them would end for good, and everyone wait for it for ever."""

    async def ask() -> None:
        client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
        connection = AIOKafkaConnection("127.0.0.1", 1)
        connection._writer = await _ended_writer()
        connection._versions = {MetadataRequest.API_KEY: (0, 5)}

        async def connected(_node_id: str) -> AIOKafkaConnection:
            return connection

        client._get_conn = connected
        client._conns["bootstrap", ConnectionGroup.DEFAULT] = connection
        with pytest.raises(RuntimeError, match="the handler is closed"):
            await client._metadata_update(client.cluster, [])
        lost_when_closed(client)
        assert await client._metadata_update(client.cluster, []) is False
        client._conns.clear()
        await client.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())


def test_other_errors_pass_as_they_are() -> None:
    """A bug is not a lost connection."""
    with pytest.raises(RuntimeError, match="a bug"), closed_is_lost():
        raise RuntimeError("a bug")
