"""Unary calls passed on to the service that has the method, as bytes; the same for HTTP, frames and gRPC.

The user's own token travels with the call and the service checks it again; no other metadata does,
so nobody can smuggle an identity in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc.aio
import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from chassis.caller import Caller, Metadata, client_metadata, user_metadata
from chassis.errors import BackendUnavailable, InvalidField, TokenMissing
from chassis.status import from_rpc_error
from edge.callers import Callers
from edge.methods import Method
from edge.ports import Client
from edge.protocol import json_bodies
from edge.protocol.client_frames import too_deep
from edge.protocol.limits import JSON_DEPTH

MAX_SECONDS = 30.0
"""The longest deadline a caller may ask for."""
LOGOUT = "polychat.auth.v1.AuthService/Logout"

UnaryCall = Callable[..., grpc.aio.UnaryUnaryCall[bytes, bytes]]


class RawCalls:
    """A stub of any service whose messages stay serialized."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._calls: dict[str, UnaryCall] = {}

    def unary(self, path: str) -> UnaryCall:
        """The call of this method."""
        call = self._calls.get(path)
        if call is None:
            call = self._calls[path] = self._channel.unary_unary(path)
        return call


@dataclass(frozen=True, slots=True)
class Origin:
    """Who calls, as far as the wire knows: the network address, the token, and the seconds there are."""

    address: str
    token: str | None = None
    timeout: float | None = None


class Gateway:
    """Calls public methods for clients. `credential` lets auth believe where a client is."""

    def __init__(self, backends: Mapping[str, Client[RawCalls]], callers: Callers, credential: str) -> None:
        self._backends = backends
        self._callers = callers
        self._credential = credential

    async def call(self, method: Method, request: bytes, origin: Origin) -> bytes:
        """The serialized reply.

        Raises what the method answers, TokenMissing, TokenInvalid, TokenExpired, SessionRevoked,
        BackendUnavailable.
        """
        caller = await self._caller(origin) if method.needs_token else None
        metadata: Metadata = user_metadata(caller) if caller is not None else ()
        if method.backend == "auth":
            metadata += client_metadata(self._credential, origin.address)
        call = self._backends[method.backend].stub.unary(method.path)
        limit = None if origin.timeout is None else max(0.001, min(origin.timeout, MAX_SECONDS))
        try:
            reply = await call(request, metadata=metadata, timeout=limit)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        except grpc.aio.UsageError as error:
            raise BackendUnavailable(method.backend) from error
        if caller is not None and method.name == LOGOUT:
            self._callers.end(caller.session_id)
        return reply

    async def _caller(self, origin: Origin) -> Caller:
        if not origin.token:
            raise TokenMissing
        return await self._callers.verify(origin.token)

    async def call_json(self, method: Method, params: bytes, origin: Origin) -> bytes:
        """The same with canonical protobuf JSON in and out. Raises InvalidField as well."""
        reply = await self.call(method, request_from_json(method, params), origin)
        return reply_to_json(method, reply)


def request_from_json(method: Method, params: bytes) -> bytes:
    """A serialized request from JSON text. Raises InvalidField; depth is checked before any recursion."""
    if too_deep(params):
        raise InvalidField("request", f"nested deeper than {JSON_DEPTH}")
    try:
        message = json_bodies.parse(json_bodies.loads(params or b"{}"), method.request())
    except ValueError as error:
        raise InvalidField("request", str(error)) from error
    return message.SerializeToString()


def reply_to_json(method: Method, reply: bytes) -> bytes:
    """JSON text of a serialized reply, as grpcurl prints it but on one line."""
    return msgspec.json.encode(json_format.MessageToDict(method.reply.FromString(reply)))


def check_binary(method: Method, request: bytes) -> None:
    """Refuses bytes that are no request of this method. Raises InvalidField."""
    try:
        method.request.FromString(request)
    except DecodeError as error:
        raise InvalidField("request", f"not a {method.request.DESCRIPTOR.full_name}") from error
