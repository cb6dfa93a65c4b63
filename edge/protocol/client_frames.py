"""Client frames read: JSON or binary in, one `Incoming` out.

Canonical hot frames take msgspec's typed path; whatever that does not take as it stands (numbers
for int64, proto field names, fields of a later version) goes through `json_format`, which decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from google.protobuf.message import DecodeError, Message
from msgspec import UNSET, Raw, Struct, UnsetType
from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest
from polychat.edge.v1.client_frame_pb2 import ClientFrame, Hello, Refresh, WatchPresence
from polychat.edge.v1.signal_pb2 import Ping, Pong, TypingSignal
from polychat.message.v1.receipt_service_pb2 import AdvanceReceiptRequest

from chassis.errors import Failure, InvalidField
from edge.protocol import json_bodies
from edge.protocol.connection import Kind
from edge.protocol.errors import FrameInvalid
from edge.protocol.limits import JSON_DEPTH, MAX_ID


@dataclass(slots=True)
class CallBody:
    """A call: its method and the request, as JSON or as a serialized message."""

    method: str
    params: bytes


@dataclass(slots=True)
class Incoming:
    """One client frame. `body` is the message of that kind, or a CallBody."""

    kind: Kind
    id: int
    body: Any


class Refused(Exception):  # noqa: N818 — named after what happened to the frame
    """A frame that gets an error. `fatal`: the connection closes after it."""

    def __init__(self, failure: Failure, request_id: int = 0, *, fatal: bool) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.request_id = request_id
        self.fatal = fatal


Int64 = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,17})\Z")]
Uint32 = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]


class _Strict(Struct, rename="camel", forbid_unknown_fields=True):
    pass


class _Send(_Strict):
    room_id: Int64
    request_id: str
    text: str
    reply_to_message_id: Int64 = "0"
    thread_root_message_id: Int64 = "0"
    mentioned_user_ids: list[Int64] = []


class _Cursor(_Strict):
    room_id: Int64
    sequence: Int64


class _Hello(_Strict):
    access_token: str
    client: str = ""
    rooms: list[_Cursor] = []
    log_epoch: Int64 = "0"


class _Receipt(_Strict):
    room_id: Int64
    read_sequence: Int64


class _Typing(_Strict):
    room_id: Int64


class _Empty(_Strict):
    pass


class _Call(Struct):
    method: str
    params: Raw = Raw(b"{}")


class _Frame(_Strict):
    id: Uint32 = 0
    hello: _Hello | UnsetType = UNSET
    send: _Send | UnsetType = UNSET
    call: _Call | UnsetType = UNSET
    receipt: _Receipt | UnsetType = UNSET
    typing: _Typing | UnsetType = UNSET
    ping: _Empty | UnsetType = UNSET
    pong: _Empty | UnsetType = UNSET


def _send(body: _Send) -> SendMessageRequest:
    request = SendMessageRequest(room_id=int(body.room_id), request_id=body.request_id, text=body.text)
    if body.reply_to_message_id != "0":
        request.reply_to_message_id = int(body.reply_to_message_id)
    if body.thread_root_message_id != "0":
        request.thread_root_message_id = int(body.thread_root_message_id)
    if body.mentioned_user_ids:
        request.mentioned_user_ids.extend(map(int, body.mentioned_user_ids))
    return request


def _hello(body: _Hello) -> Hello:
    hello = Hello(access_token=body.access_token, client=body.client)
    for cursor in body.rooms:
        hello.rooms.add(room_id=int(cursor.room_id), sequence=int(cursor.sequence))
    hello.log_epoch = int(body.log_epoch)
    return hello


def _receipt(body: _Receipt) -> AdvanceReceiptRequest:
    return AdvanceReceiptRequest(room_id=int(body.room_id), read_sequence=int(body.read_sequence))


_HOT: dict[type, tuple[Kind, Callable[[Any], Any]]] = {
    _Send: (Kind.SEND, _send),
    _Typing: (Kind.TYPING, lambda body: TypingSignal(room_id=int(body.room_id))),
    _Receipt: (Kind.RECEIPT, _receipt),
    _Hello: (Kind.HELLO, _hello),
}

_BODIES: Mapping[str, type[Message]] = {
    Kind.HELLO: Hello,
    Kind.SEND: SendMessageRequest,
    Kind.RECEIPT: AdvanceReceiptRequest,
    Kind.TYPING: TypingSignal,
    Kind.WATCH_PRESENCE: WatchPresence,
    Kind.REFRESH: Refresh,
    Kind.PING: Ping,
    Kind.PONG: Pong,
}
_NAMES = {
    spelling: Kind(field.name)
    for field in ClientFrame.DESCRIPTOR.fields
    if field.name != "id"
    for spelling in (field.name, field.json_name)
}

_decoder = msgspec.json.Decoder(_Frame)
_call_decoder = msgspec.json.Decoder(_Call)
_brackets = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def decode_json(data: bytes) -> Incoming:
    """Reads one JSON frame. Raises Refused: fatal unless only a field of a known body is wrong."""
    if too_deep(data):
        raise Refused(FrameInvalid(f"nested deeper than {JSON_DEPTH}"), fatal=True)
    try:
        frame = _decoder.decode(data)
    except (msgspec.ValidationError, ValueError):
        return _decode_slowly(data)
    found: Any = None
    for body in (frame.send, frame.pong, frame.typing, frame.receipt, frame.call, frame.hello, frame.ping):
        if body is not UNSET:
            if found is not None:
                raise Refused(FrameInvalid("more than one body"), frame.id, fatal=True)
            found = body
    hot = _HOT.get(type(found))
    if hot is not None:
        return _built(hot[0], frame.id, hot[1], found)
    if type(found) is _Call:
        return Incoming(Kind.CALL, frame.id, CallBody(found.method, bytes(found.params)))
    return _decode_slowly(data)


def decode_binary(data: bytes) -> Incoming:
    """Reads one serialized ClientFrame. Raises Refused."""
    try:
        frame = ClientFrame.FromString(data)
    except DecodeError:
        raise Refused(FrameInvalid("not a ClientFrame"), fatal=True) from None
    return from_message(frame)


def from_message(frame: ClientFrame) -> Incoming:
    """The same for a frame that is parsed already. Raises Refused."""
    name = frame.WhichOneof("body")
    if name is None:
        raise Refused(FrameInvalid("no known body"), frame.id, fatal=True)
    kind = Kind(name)
    if kind is Kind.CALL:
        return Incoming(kind, frame.id, CallBody(frame.call.method, frame.call.message))
    return Incoming(kind, frame.id, getattr(frame, name))


def too_deep(data: bytes, limit: int = JSON_DEPTH) -> bool:
    """Whether JSON text nests deeper than `limit`; brackets inside strings do not count."""
    if data.count(b"{") + data.count(b"[") <= limit:
        return False
    depth = 0
    for match in _brackets.finditer(data):
        token = match.group()
        if token in (b"{", b"["):
            depth += 1
            if depth > limit:
                return True
        elif token in (b"}", b"]"):
            depth -= 1
    return False


def _built(kind: Kind, request_id: int, build: Callable[[Any], Any], body: Any) -> Incoming:
    try:
        return Incoming(kind, request_id, build(body))
    except ValueError as error:
        raise Refused(InvalidField(kind, str(error)), request_id, fatal=False) from error


def _decode_slowly(data: bytes) -> Incoming:
    try:
        frame = json_bodies.loads(data)
    except ValueError:
        raise Refused(FrameInvalid("not JSON"), fatal=True) from None
    if not isinstance(frame, dict):
        raise Refused(FrameInvalid("not a JSON object"), fatal=True)
    request_id = frame.get("id")
    if request_id is None:
        request_id = 0
    elif isinstance(request_id, bool) or not isinstance(request_id, int) or not 0 <= request_id <= MAX_ID:
        raise Refused(FrameInvalid("id is not a uint32"), fatal=True)
    bodies = [(kind, frame[key]) for key, kind in _named(frame) if frame[key] is not None]
    if len(bodies) != 1:
        text = "more than one body" if bodies else "no known body"
        raise Refused(FrameInvalid(text), request_id, fatal=True)
    return _parse(*bodies[0], request_id)


def _named(frame: dict[str, Any]) -> list[tuple[str, Kind]]:
    return [(key, _NAMES[key]) for key in frame if key in _NAMES]


def _parse(kind: Kind, body: Any, request_id: int) -> Incoming:
    try:
        if kind is Kind.CALL:
            call = _call_decoder.decode(msgspec.json.encode(body))
            return Incoming(kind, request_id, CallBody(call.method, bytes(call.params)))
        return Incoming(kind, request_id, json_bodies.parse(body, _BODIES[kind]()))
    except ValueError as error:
        raise Refused(InvalidField(kind, str(error)), request_id, fatal=False) from error
