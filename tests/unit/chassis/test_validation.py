"""Requests against the rules of their `.proto`: which field, said how."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from polychat.chat.v1.membership_service_pb2 import AddMembersRequest
from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest
from polychat.edge.v1.client_frame_pb2 import ClientFrame

from chassis.errors import InvalidRequest
from chassis.status import to_status
from chassis.validation import MAX_VIOLATIONS, validate

REQUEST_ID = "7d1f1f0e-35b0-4d3f-9a36-57bd4f3a5b11"


def fields(message: Message) -> list[str]:
    """The paths that are refused."""
    with pytest.raises(InvalidRequest) as caught:
        validate(message)
    return [violation.field for violation in caught.value.violations]


def test_a_good_request_passes() -> None:
    """Without a word."""
    validate(SendMessageRequest(room_id=1, request_id=REQUEST_ID, text="hello"))


def test_every_wrong_field_is_named() -> None:
    """All at once, by their proto names."""
    assert sorted(fields(SendMessageRequest())) == ["request_id", "room_id", "text"]


def test_an_item_of_a_list_is_named_with_its_place() -> None:
    """Only the bad ones."""
    assert fields(AddMembersRequest(room_id=1, user_ids=[5, -1, 7, 0])) == ["user_ids[1]", "user_ids[3]"]


def test_a_rule_about_the_whole_list_names_the_list() -> None:
    """No place then."""
    assert fields(AddMembersRequest(room_id=1)) == ["user_ids"]


def test_a_field_inside_a_message_has_a_path() -> None:
    """With the names of the messages it is in."""
    frame = ClientFrame(send=SendMessageRequest(room_id=1, request_id="not one", text="x"))
    assert fields(frame) == ["send.request_id"]


def test_a_thousand_wrong_items_fit_into_an_answer() -> None:
    """A status travels in the trailers, which hold 16 KiB in all."""
    with pytest.raises(InvalidRequest) as caught:
        validate(AddMembersRequest(room_id=1, user_ids=range(-3000, 0)))
    assert len(caught.value.violations) == MAX_VIOLATIONS
    assert len(to_status(caught.value).SerializeToString()) < 4096
