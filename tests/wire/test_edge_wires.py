"""The other wires: the binary codec, `EdgeService.Session`, and the public methods on the gRPC port."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import grpc.aio
import pytest
from polychat.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from polychat.chat.v1 import room_service_pb2, room_service_pb2_grpc
from polychat.edge.v1 import client_frame_pb2, edge_service_pb2_grpc, server_frame_pb2
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from chassis.status import from_rpc_error
from edge.config import EdgeLiveSettings
from tests.support.edge_client import Here, client, open_here, raw_client, until
from tests.support.edge_grpc import grpc_edge
from tests.support.edge_world import token


async def test_the_binary_codec(here: Here) -> None:
    """The same conversation in protobuf."""
    here.world.room(7, 1)
    async with connect(here.url, subprotocols=[Subprotocol("polychat.v1.proto")], proxy=None) as socket:

        async def ask(frame: client_frame_pb2.ClientFrame) -> server_frame_pb2.ServerFrame:
            await socket.send(frame.SerializeToString())
            while True:
                reply = server_frame_pb2.ServerFrame.FromString(await socket.recv(decode=False))
                if reply.id == frame.id:
                    return reply
                others.append(reply)

        others: list[server_frame_pb2.ServerFrame] = []
        hello = client_frame_pb2.ClientFrame(id=1)
        hello.hello.access_token = token(1)
        assert (await ask(hello)).welcome.rooms[0].head_sequence == 1
        send = client_frame_pb2.ClientFrame(id=2)
        send.send.room_id, send.send.text, send.send.request_id = 7, "hi", str(uuid.uuid4())
        assert (await ask(send)).sent.sequence == 2
        call = client_frame_pb2.ClientFrame(id=3)
        call.call.method = "polychat.chat.v1.RoomService/CreateRoom"
        call.call.message = room_service_pb2.CreateRoomRequest(title="Team").SerializeToString()
        created = room_service_pb2.CreateRoomResponse.FromString((await ask(call)).result_message)
        assert created.room.title == "Team"
        bad = client_frame_pb2.ClientFrame(id=4)
        bad.call.method = "none/None"
        assert (await ask(bad)).error.reason == "METHOD_NOT_FOUND"
        assert "hi" in [frame.event.message_created.message.text for frame in others]


async def frame_of(call: Any) -> server_frame_pb2.ServerFrame:
    """The next frame of a session."""
    frame = await call.read()
    assert isinstance(frame, server_frame_pb2.ServerFrame)
    return frame


async def test_a_session_over_grpc(here: Here) -> None:
    """The WebSocket's frames as a stream: hello, send, and events to all, whatever their wire."""
    here.world.room(7, 1, 2)
    async with grpc_edge(here) as channel, client(here, 2) as ben:
        call = edge_service_pb2_grpc.EdgeServiceStub(channel).Session()
        hello = client_frame_pb2.ClientFrame(id=1)
        hello.hello.access_token = token(1)
        await call.write(hello)
        assert (await frame_of(call)).welcome.user_id == 1
        await ben.ask(send={"roomId": "7", "requestId": str(uuid.uuid4()), "text": "hi"})
        event = (await frame_of(call)).event
        assert (event.sequence, event.message_created.message.text) == (3, "hi")
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        await until(lambda: len(here.edge.sessions.peers) == 1)


async def test_a_frame_that_is_too_large_for_a_session(here: Here) -> None:
    """The bound is the same on every wire."""
    async with grpc_edge(here) as channel:
        call = edge_service_pb2_grpc.EdgeServiceStub(channel).Session()
        hello = client_frame_pb2.ClientFrame(id=1)
        hello.hello.access_token = "x" * 70_000
        await call.write(hello)
        assert (await frame_of(call)).error.reason == "FRAME_TOO_LARGE"
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_session_that_says_nothing_good(here: Here) -> None:
    """Ends with the status of the close code, after the error frame."""
    for frame, reason, status in (
        ({"id": 1, "hello": {"access_token": "garbage"}}, "TOKEN_INVALID", grpc.StatusCode.UNAUTHENTICATED),
        ({"id": 1}, "FRAME_INVALID", grpc.StatusCode.INVALID_ARGUMENT),
        ({"id": 1, "ping": {}}, "HELLO_REQUIRED", grpc.StatusCode.UNAUTHENTICATED),
    ):
        async with grpc_edge(here) as channel:
            call = edge_service_pb2_grpc.EdgeServiceStub(channel).Session()
            await call.write(client_frame_pb2.ClientFrame(**frame))
            assert (await frame_of(call)).error.reason == reason
            assert await call.code() is status
        assert not here.edge.sessions.peers


async def test_public_methods_on_the_grpc_port(here: Here) -> None:
    """Passed on as bytes, errors with all they say."""
    async with grpc_edge(here) as channel:
        rooms = room_service_pb2_grpc.RoomServiceStub(channel)
        metadata = [("authorization", f"Bearer {token(1)}"), ("x-user-id", "9")]
        reply = await rooms.CreateRoom(room_service_pb2.CreateRoomRequest(title="T"), metadata=metadata)
        assert reply.room.title == "T"
        assert "x-user-id" not in here.world.metadata[-1]
        keys = await auth_service_pb2_grpc.AuthServiceStub(channel).GetJwks(auth_service_pb2.GetJwksRequest())
        assert len(keys.keys) == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rooms.CreateRoom(room_service_pb2.CreateRoomRequest(title="T"))
        assert from_rpc_error(caught.value).reason == "TOKEN_MISSING"


async def test_a_session_counts_for_its_address() -> None:
    """The bounds per address are the same on every wire, and an end takes off only what was counted."""
    async with (
        open_here(trusted_addresses=()) as here,
        grpc_edge(here) as channel,
        client(here, 1),
    ):
        here.limits[0] = EdgeLiveSettings(connections_per_address=2)
        session = edge_service_pb2_grpc.EdgeServiceStub(channel).Session
        call = session()
        hello = client_frame_pb2.ClientFrame(id=1)
        hello.hello.access_token = token(2)
        await call.write(hello)
        assert (await frame_of(call)).welcome.user_id == 2
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await session().read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert from_rpc_error(refused.value).reason == "TOO_MANY_CONNECTIONS"
        call.cancel()
        await until(lambda: len(here.edge.sessions.peers) == 1)
        async with client(here, 3):
            with pytest.raises(InvalidStatus):
                await raw_client(here).__aenter__()
