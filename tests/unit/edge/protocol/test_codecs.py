"""Two codecs, one meaning: what msgspec writes and reads by hand is what `json_format` says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest, SendMessageResponse
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.edge.v1.signal_pb2 import TypingSignal
from polychat.event.v1.room_event_pb2 import MemberLeftReason, RoomEvent
from polychat.message.v1.receipt_pb2 import Receipt
from websockets.frames import Frame, Opcode

from chassis.errors import InvalidField, RateLimited
from edge.protocol import server_frames
from edge.protocol.client_frames import (
    CallBody,
    Incoming,
    Refused,
    decode_binary,
    decode_json,
    from_message,
    too_deep,
)
from edge.protocol.connection import Kind
from edge.protocol.events import Event, Wire
from edge.protocol.framing import binary_frame, text_frame

int64 = st.integers(-(2**63), 2**63 - 1)
ids = st.integers(0, 2**63 - 1)
text = st.text(st.characters(codec="utf-8"), max_size=200)
uuids = st.uuids().map(str)


@st.composite
def times(draw: st.DrawFn, message: Any) -> None:
    """Fills a Timestamp field with any time it may have, or leaves it unset."""
    if draw(st.booleans()):
        message.seconds = draw(st.integers(0, 253_402_300_799))
        message.nanos = draw(
            st.one_of(st.just(0), st.integers(0, 999_999_999), st.integers(0, 999).map(lambda n: n * 10**6))
        )
        message.SetInParent()


@st.composite
def events(draw: st.DrawFn) -> RoomEvent:
    """Any event, most often a message."""
    event = RoomEvent(
        room_id=draw(int64), sequence=draw(int64), actor_user_id=draw(int64), request_id=draw(text)
    )
    draw(times(event.create_time))
    kind = draw(st.sampled_from(["created", "created", "created", "reaction", "left", "edited", "none"]))
    if kind == "created":
        event.message_created.SetInParent()
        if draw(st.booleans()):
            _fill(draw, event.message_created.message)
    elif kind == "edited":
        _fill(draw, event.message_edited.message)
    elif kind == "reaction":
        event.reaction_added.emoji = draw(text)
    elif kind == "left":
        event.member_left.user_id = draw(int64)
        event.member_left.reason = draw(st.sampled_from(MemberLeftReason.values()))
    return event


def _fill(draw: st.DrawFn, message: Any) -> None:
    message.message_id = draw(int64)
    message.message_number = draw(int64)
    message.sender_user_id = draw(int64)
    message.text = draw(text)
    message.reply_to_message_id = draw(st.one_of(st.just(0), int64))
    message.thread_root_message_id = draw(st.one_of(st.just(0), int64))
    message.mentioned_user_ids.extend(draw(st.lists(int64, max_size=3)))
    if draw(st.integers(0, 4)) == 0:
        message.attachments.add(file_id=draw(text), size_bytes=draw(int64))
    if draw(st.integers(0, 4)) == 0:
        draw(times(message.edit_time))
    if draw(st.integers(0, 4)) == 0:
        message.room_id = draw(int64)


def canonical(frame: ServerFrame) -> Any:
    return json_format.MessageToDict(frame)


@given(events())
def test_an_event_is_canonical_json(event: RoomEvent) -> None:
    assert json.loads(server_frames.event_json(event.SerializeToString())) == canonical(
        ServerFrame(event=event)
    )


@given(events())
def test_an_event_in_binary_is_a_server_frame(event: RoomEvent) -> None:
    assert ServerFrame.FromString(server_frames.event_binary(event.SerializeToString())) == ServerFrame(
        event=event
    )


@given(st.data(), st.integers(0, 2**32 - 1))
def test_sent_is_canonical_json(data: st.DataObject, request_id: int) -> None:
    sent = SendMessageResponse(
        room_id=data.draw(int64), sequence=data.draw(int64), message_id=data.draw(int64)
    )
    data.draw(times(sent.create_time))
    if data.draw(st.booleans()):
        sent.duplicate = data.draw(st.booleans())
    frame = ServerFrame(id=request_id, sent=sent)
    assert json.loads(server_frames.sent_json(request_id, sent)) == canonical(frame)


@given(int64, int64)
def test_typing_is_canonical_json(room_id: int, user_id: int) -> None:
    signal = TypingSignal(room_id=room_id, user_id=user_id)
    assert json.loads(server_frames.typing_json(signal)) == canonical(ServerFrame(typing=signal))


@given(int64, int64, st.one_of(st.none(), int64))
def test_a_receipt_is_canonical_json(room_id: int, user_id: int, read: int | None) -> None:
    receipt = Receipt(room_id=room_id, user_id=user_id, read_sequence=read)
    assert json.loads(server_frames.receipt_json(receipt)) == canonical(ServerFrame(receipt=receipt))


@given(text, st.one_of(st.none(), st.floats(0, 1e6)), st.dictionaries(st.sampled_from("abc"), text))
def test_an_error_is_canonical_json(message: str, after: float | None, metadata: dict[str, str]) -> None:
    failure = RateLimited(message, retry_after=after)
    failure.metadata.update(metadata)
    frame = ServerFrame(id=7, error=server_frames.error_message(failure))
    assert json.loads(server_frames.error_json(7, failure)) == canonical(frame)


def test_a_result_keeps_its_large_numbers() -> None:
    assert server_frames.result_json(3, b'{"roomId":"9007199254740993"}') == (
        b'{"id":3,"result":{"roomId":"9007199254740993"}}'
    )


# ---- client frames --------------------------------------------------------------------------------


@st.composite
def client_frames(draw: st.DrawFn) -> ClientFrame:
    """Any frame but a call, whose JSON differs on purpose."""
    frame = ClientFrame(id=draw(st.integers(0, 2**32 - 1)))
    kind = draw(
        st.sampled_from(["send", "send", "hello", "receipt", "typing", "ping", "pong", "refresh", "watch"])
    )
    if kind == "send":
        frame.send.SetInParent()
        frame.send.room_id = draw(int64)
        frame.send.request_id = draw(st.one_of(uuids, text))
        frame.send.text = draw(text)
        frame.send.reply_to_message_id = draw(int64)
        frame.send.mentioned_user_ids.extend(draw(st.lists(int64, max_size=3)))
    elif kind == "hello":
        frame.hello.access_token, frame.hello.client = draw(text), draw(text)
        for room_id in draw(st.lists(int64, max_size=3)):
            frame.hello.rooms.add(room_id=room_id, sequence=draw(int64))
        frame.hello.SetInParent()
    elif kind == "receipt":
        frame.receipt.room_id, frame.receipt.read_sequence = draw(int64), draw(int64)
        frame.receipt.SetInParent()
    elif kind == "typing":
        frame.typing.room_id, frame.typing.user_id = draw(int64), draw(int64)
        frame.typing.SetInParent()
    elif kind == "refresh":
        frame.refresh.access_token = draw(text)
        frame.refresh.SetInParent()
    elif kind == "watch":
        frame.watch_presence.user_ids.extend(draw(st.lists(int64, max_size=3)))
        frame.watch_presence.SetInParent()
    else:
        getattr(frame, kind).SetInParent()
    return frame


@given(client_frames(), st.booleans(), st.booleans())
def test_json_and_binary_frames_mean_the_same(frame: ClientFrame, proto_names: bool, defaults: bool) -> None:
    """However a conforming library spells it: field names, defaults written out or left away."""
    shown = json_format.MessageToDict(
        frame,
        preserving_proto_field_name=proto_names,
        always_print_fields_with_no_presence=defaults,
    )
    expected = from_message(frame)
    assert decode_json(json.dumps(shown).encode()) == expected
    assert decode_binary(frame.SerializeToString()) == expected


def test_numbers_for_int64_and_fields_of_a_later_version() -> None:
    incoming = decode_json(b'{"id":1,"later":1,"send":{"roomId":7,"requestId":"x","text":"hi","later":{}}}')
    assert incoming == Incoming(Kind.SEND, 1, SendMessageRequest(room_id=7, request_id="x", text="hi"))


def test_a_call_keeps_its_params_as_they_are() -> None:
    incoming = decode_json(b'{"id":1,"call":{"method":"a/b","params":{"n": 9007199254740993}}}')
    assert incoming == Incoming(Kind.CALL, 1, CallBody("a/b", b'{"n": 9007199254740993}'))


def outcome(decode: Callable[[bytes], Incoming], data: bytes) -> Incoming | Refused:
    """The frame or the refusal; whatever else is raised fails the test."""
    try:
        return decode(data)
    except Refused as refused:
        return refused


@given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(lambda t: t.encode("utf-8", "ignore"))))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    """Nothing else is ever raised."""
    for decode in (decode_json, decode_binary):
        result = outcome(decode, data)
        assert isinstance(result, Incoming) or result.failure.code == "INVALID_ARGUMENT"


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from([str(kind) for kind in Kind] + ["watchPresence"]), json_values, json_values)
def test_any_json_body_is_a_frame_or_refused(kind: str, body: Any, request_id: Any) -> None:
    """Wrong types anywhere: a refusal that is fatal only when there is no known body or no id."""
    data = json.dumps({"id": request_id, kind: body}).encode()
    result = outcome(decode_json, data)
    assert isinstance(result, Incoming) or result.fatal or isinstance(result.failure, InvalidField)


@given(json_values, st.integers(1, 6))
def test_depth_is_what_a_parser_would_recurse(value: Any, limit: int) -> None:
    def depth(value: Any) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    assert too_deep(json.dumps(value).encode(), limit) == (depth(value) > limit)


def test_brackets_in_strings_are_no_depth() -> None:
    assert not too_deep(json.dumps({"text": "[" * 1000 + '"\\'}).encode())


# ---- framing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_frames_are_those_of_the_library(length: int) -> None:
    payload = b"x" * length
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert binary_frame(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)


def test_an_event_is_encoded_once_for_each_wire() -> None:
    event = Event(7, 1, RoomEvent(room_id=7, sequence=1).SerializeToString())
    for wire in Wire:
        assert event.frame(wire) is event.frame(wire)
    assert event.frame(Wire.JSON)[2:] == b'{"event":{"roomId":"7","sequence":"1"}}'
    assert event.frame(Wire.BINARY)[2:] == event.frame(Wire.STREAM)
