"""Rows that PostgreSQL multiplies out are what the service's own encoder would have made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polychat.chat.v1.message_pb2 import Message
from polychat.event.v1.room_event_pb2 import RoomEvent

from bench.probes.history_rows import PLACEHOLDER, spelled, split


@given(st.integers(1, 2**63 - 1))
def test_a_number_is_spelled_as_protobuf_does(number: int) -> None:
    """The field's tag, and then the number."""
    assert RoomEvent(room_id=number).SerializeToString() == b"\x08" + spelled(number)


@given(st.integers(2**56, 2**63 - 1))
def test_another_room_takes_the_place(room: int) -> None:
    """In an event and in a message, whatever stands around it."""
    for made in (
        RoomEvent(room_id=PLACEHOLDER, sequence=7, request_id="r"),
        Message(message_id=3, text="x" * 200, room_id=PLACEHOLDER, sequence=9),
    ):
        head, tail = split(made.SerializeToString())
        found = type(made).FromString(head + spelled(room) + tail)
        assert found.room_id == room
        found.room_id = PLACEHOLDER
        assert found == made


def test_a_payload_without_the_place_is_refused() -> None:
    """Nothing is multiplied out that would be of no room."""
    with pytest.raises(ValueError, match="unpack"):
        split(RoomEvent(room_id=7).SerializeToString())
