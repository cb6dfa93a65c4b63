"""The hand-written frames say zero and nothing as canonical protobuf JSON does: by leaving them out."""

from __future__ import annotations

import json

from google.protobuf import json_format
from polychat.chat.v1.messaging_service_pb2 import SendMessageResponse
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.edge.v1.signal_pb2 import TypingSignal
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.message.v1.receipt_pb2 import Receipt

from edge.protocol.errors import HelloRequired
from edge.protocol.server_frames import error_message, event_json, receipt_json, sent_json, typing_json


def _canonical(frame: ServerFrame) -> object:
    return json_format.MessageToDict(frame)


def test_zeros_are_left_out() -> None:
    """A message that answers nothing has no `replyToMessageId`, and so on."""
    event = RoomEvent(room_id=7, sequence=1)
    event.message_created.message.text = "hi"
    assert json.loads(event_json(event.SerializeToString())) == _canonical(ServerFrame(event=event))
    assert json.loads(sent_json(3, SendMessageResponse())) == _canonical(
        ServerFrame(id=3, sent=SendMessageResponse())
    )
    assert json.loads(typing_json(TypingSignal())) == {"typing": {}}
    assert json.loads(receipt_json(Receipt(read_sequence=0))) == {"receipt": {"readSequence": "0"}}


def test_the_metadata_of_an_error_is_always_set() -> None:
    """So that a client of the binary codec sees it as one of JSON does."""
    assert error_message(HelloRequired()).HasField("metadata")
