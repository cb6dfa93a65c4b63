"""Three ways to carry frames, all as canonical JSON objects: WebSocket text, WebSocket binary, gRPC.

Written against the wire contract and not with the SDK, so that each proves the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import grpc.aio
from google.protobuf import json_format
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.edge_service_pb2_grpc import EdgeServiceStub
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.methods import METHODS, full_name, request_of, response_of

Frame = dict[str, Any]
LARGEST_FRAME = 16 * 1024 * 1024
OPEN_SECONDS = 10.0


class Closed(Exception):  # noqa: N818 — named after what happened
    """The connection is over. `code` is the WebSocket's close code, 0 when there was none."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(f"{code} {text}")
        self.code = code


class Transport(Protocol):
    """Carries frames one by one."""

    async def send(self, frame: Frame) -> None:
        """Raises Closed."""

    async def receive(self) -> Frame:
        """Raises Closed."""

    async def close(self) -> None:
        """Says goodbye."""

    def abort(self) -> None:
        """Drops the connection as a lost network would."""


def kind_of(frame: Mapping[str, Any]) -> str:
    """The name of the body of a frame."""
    return next(name for name in frame if name != "id")


class _WebSocket:
    subprotocol = ""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, frame: Frame) -> None:
        try:
            await self.socket.send(self._encode(frame))
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def receive(self) -> Frame:
        try:
            return self._decode(await self.socket.recv())
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def close(self) -> None:
        await self.socket.close()

    def abort(self) -> None:
        self.socket.transport.abort()

    @property
    def local_port(self) -> int:
        """Our end's port: with it the process at the other end is found."""
        return int(self.socket.local_address[1])

    def _encode(self, frame: Frame) -> str | bytes:
        raise NotImplementedError

    def _decode(self, data: str | bytes) -> Frame:
        raise NotImplementedError


class JsonSocket(_WebSocket):
    """`polychat.v1.json`."""

    subprotocol = "polychat.v1.json"

    def _encode(self, frame: Frame) -> str:
        if "call" in frame:
            call = dict(frame["call"])
            frame = {**frame, "call": call | {"method": full_name(call["method"])}}
        return json.dumps(frame)

    def _decode(self, data: str | bytes) -> Frame:
        assert isinstance(data, str), "the JSON protocol has text frames only"
        return dict(json.loads(data))


class BinaryFrames:
    """ClientFrame and ServerFrame; remembers the methods that were called to read their results."""

    def __init__(self) -> None:
        self._called: dict[int, str] = {}

    def encode(self, frame: Frame) -> ClientFrame:
        """A frame whose `call` has `params` as JSON has them."""
        call = frame.get("call")
        if call is None:
            return json_format.ParseDict(frame, ClientFrame())
        encoded = ClientFrame(id=frame["id"])
        encoded.call.method = full_name(call["method"])
        if call["method"] in METHODS:
            encoded.call.message = request_of(call["method"], call["params"]).SerializeToString()
        self._called[frame["id"]] = call["method"]
        return encoded

    def decode(self, frame: ServerFrame) -> Frame:
        """A frame whose `resultMessage` became `result`."""
        method = self._called.pop(frame.id, "")
        if frame.WhichOneof("body") == "result_message":
            return {"id": frame.id, "result": response_of(method, frame.result_message)}
        return dict(json_format.MessageToDict(frame))


class BinarySocket(_WebSocket):
    """`polychat.v1.proto`."""

    subprotocol = "polychat.v1.proto"

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__(socket)
        self._frames = BinaryFrames()

    def _encode(self, frame: Frame) -> bytes:
        return self._frames.encode(frame).SerializeToString()

    def _decode(self, data: str | bytes) -> Frame:
        assert isinstance(data, bytes), "the binary protocol has binary frames only"
        return self._frames.decode(ServerFrame.FromString(data))


class SessionStream:
    """`EdgeService.Session`."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._call = EdgeServiceStub(self._channel).Session()
        self._frames = BinaryFrames()

    async def send(self, frame: Frame) -> None:
        try:
            await self._call.write(self._frames.encode(frame))
        except (grpc.aio.AioRpcError, grpc.aio.UsageError) as error:
            raise Closed(0, str(error)) from error

    async def receive(self) -> Frame:
        try:
            frame = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise Closed(0, error.code().name) from error
        if frame is grpc.aio.EOF:
            raise Closed(0, (await self._call.code()).name)
        assert isinstance(frame, ServerFrame)
        return self._frames.decode(frame)

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()

    def abort(self) -> None:
        self._call.cancel()


async def open_json(url: str) -> JsonSocket:
    """Raises OSError, websockets.InvalidHandshake, TimeoutError."""
    return JsonSocket(await _connect(url, JsonSocket.subprotocol))


async def open_binary(url: str) -> BinarySocket:
    """Raises as open_json."""
    return BinarySocket(await _connect(url, BinarySocket.subprotocol))


async def _connect(url: str, subprotocol: str) -> ClientConnection:
    return await connect(
        url,
        subprotocols=[Subprotocol(subprotocol)],
        compression=None,
        proxy=None,
        ping_interval=None,
        open_timeout=OPEN_SECONDS,
        close_timeout=2,
        max_size=LARGEST_FRAME,
    )


def _closed(error: ConnectionClosed) -> Closed:
    received = error.rcvd
    return Closed(received.code, received.reason) if received else Closed(0, "lost")
