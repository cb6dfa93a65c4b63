"""Frames are checked by hand as protovalidate would check them, only faster."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest
from polychat.edge.v1.client_frame_pb2 import Hello, RoomCursor
from polychat.edge.v1.signal_pb2 import TypingSignal
from polychat.message.v1.receipt_service_pb2 import AdvanceReceiptRequest

from chassis.errors import InvalidRequest
from chassis.validation import validate
from edge.protocol import shapes
from edge.protocol.connection import Kind

int64 = st.integers(-(2**63), 2**63 - 1)
ids = st.integers(0, 2**63 - 1)
text = st.text(st.characters(codec="utf-8"), max_size=200)
uuids = st.uuids().map(str)


def _valid(message: Any) -> bool:
    try:
        validate(message)
    except InvalidRequest:
        return False
    return True


def _checked(kind: Kind, message: Any) -> bool:
    try:
        shapes.check(kind, message)
    except InvalidRequest:
        return False
    return True


@given(
    st.integers(-1, 2),
    st.one_of(uuids, uuids.map(str.upper), uuids.map(lambda u: u + "\n"), text),
    st.one_of(
        text,
        st.integers(4_094, 4_098).map(lambda n: "😀" * n),
        st.integers(16_383, 16_386).map(lambda n: "x" * n),
    ),
    st.integers(-1, 1),
    st.lists(st.integers(-1, 2), max_size=2),
)
def test_a_send_is_checked_as_protovalidate_would(
    room_id: int, request_id: str, body: str, reply: int, mentions: list[int]
) -> None:
    request = SendMessageRequest(
        room_id=room_id,
        request_id=request_id,
        text=body,
        reply_to_message_id=reply,
        mentioned_user_ids=mentions,
    )
    assert _checked(Kind.SEND, request) == _valid(request)


@given(text, text, st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), max_size=3))
def test_a_hello_is_checked_as_protovalidate_would(
    token: str, name: str, cursors: list[tuple[int, int]]
) -> None:
    hello = Hello(access_token=token, client=name)
    for room_id, sequence in cursors:
        hello.rooms.add(room_id=room_id, sequence=sequence)
    assert _checked(Kind.HELLO, hello) == _valid(hello)


@pytest.mark.parametrize("count", [1000, 1001])
def test_a_hello_has_at_most_a_thousand_cursors(count: int) -> None:
    hello = Hello(access_token="x", rooms=[RoomCursor(room_id=1)] * count)
    assert _checked(Kind.HELLO, hello) == (count <= 1000)


@given(st.integers(-1, 1), st.integers(-1, 1))
def test_receipts_and_typing_are_checked_as_protovalidate_would(room_id: int, sequence: int) -> None:
    receipt = AdvanceReceiptRequest(room_id=room_id, read_sequence=sequence)
    assert _checked(Kind.RECEIPT, receipt) == _valid(receipt)
    typing = TypingSignal(room_id=room_id)
    assert _checked(Kind.TYPING, typing) == _valid(typing)
