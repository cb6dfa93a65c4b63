"""The frames of the WebSocket and the answers over HTTP print as the JSON that clients know."""

import json
import re

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from polychat.auth.v1.auth_service_pb2 import LoginResponse, RefreshSessionResponse, RegisterResponse
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.server_frame_pb2 import ServerFrame

CLIENT = [
    '{"id":1,"hello":{"accessToken":"e30.e30.AA","client":"web/0.1","rooms":[{"roomId":"7","sequence":"41"}]}}',
    '{"id":2,"send":{"roomId":"7","requestId":"0198c0de-7a11-7000-8000-000000000001","text":"hi"}}',
    (
        '{"id":2,"send":{"roomId":"7","requestId":"0198c0de-7a11-7000-8000-000000000001","text":"hi",'
        '"replyToMessageId":"3","threadRootMessageId":"2","mentionedUserIds":["9","10"]}}'
    ),
    (
        '{"id":3,"call":{"method":"polychat.chat.v1.RoomService/CreateRoom","params":'
        '{"requestId":"0198c0de-7a11-7000-8000-000000000002","title":"Team","kind":"ROOM_KIND_GROUP"}}}'
    ),
    '{"id":4,"receipt":{"roomId":"7","readSequence":"45"}}',
    '{"typing":{"roomId":"7"}}',
    '{"id":5,"watchPresence":{"userIds":["9","10"]}}',
    '{"id":6,"refresh":{"accessToken":"e30.e30.AA"}}',
    '{"ping":{}}',
    '{"pong":{}}',
]
SERVER = [
    (
        '{"id":1,"welcome":{"connectionId":"c1","userId":"9","serverTime":"2026-11-22T15:00:00Z","heartbeat":"25s",'
        '"limits":{"frameBytes":65536,"textBytes":16384,"inFlight":32},'
        '"rooms":[{"roomId":"7","headSequence":"44","readSequence":"40","unreadCount":3}]}}'
    ),
    (
        '{"id":1,"welcome":{"connectionId":"c1","userId":"9","rooms":'
        '[{"roomId":"7","headSequence":"1","readSequence":"0","unreadCount":0}],"roomsTruncated":true}}'
    ),
    (
        '{"id":2,"sent":{"roomId":"7","sequence":"45","messageId":"12","createTime":"2026-11-22T15:00:00.125Z",'
        '"duplicate":false}}'
    ),
    (
        '{"event":{"roomId":"7","sequence":"45","createTime":"2026-11-22T15:00:00.125Z","actorUserId":"9",'
        '"requestId":"0198c0de-7a11-7000-8000-000000000001",'
        '"messageCreated":{"message":{"messageId":"12","messageNumber":"39","senderUserId":"9","text":"hi"}}}}'
    ),
    '{"id":3,"result":{"room":{"roomId":"8","title":"Team","kind":"ROOM_KIND_GROUP"}}}',
    '{"id":3,"result":{}}',
    '{"id":4,"ok":{}}',
    '{"typing":{"roomId":"7","userId":"9"}}',
    '{"receipt":{"roomId":"7","userId":"9","readSequence":"45"}}',
    '{"presence":{"userId":"9","state":"PRESENCE_STATE_ONLINE","lastActiveTime":"2026-11-22T15:00:00Z"}}',
    (
        '{"id":3,"error":{"code":"PERMISSION_DENIED","reason":"NOT_A_MEMBER","message":"you are not in it",'
        '"retryable":false,"retryAfter":"1.5s","metadata":{}}}'
    ),
    '{"gap":{"roomId":"7","fromSequence":"46","headSequence":"9046"}}',
    '{"gap":{"roomId":"7","fromSequence":"1","headSequence":"5","reset":true}}',
    '{"skip":{"roomId":"7","fromSequence":"41","toSequence":"43"}}',
    '{"ping":{}}',
    '{"pong":{}}',
    '{"goaway":{"reconnectAfter":"2.5s","reason":"DRAINING"}}',
    '{"tokenExpiring":{"expiresIn":"60s"}}',
]
EVENTS = {
    "messageEdited": '{"message":{"messageId":"12","text":"ho","editTime":"2026-11-22T15:00:00Z"}}',
    "messageDeleted": '{"messageId":"12","deleteTime":"2026-11-22T15:00:00Z"}',
    "reactionAdded": '{"messageId":"12","emoji":"\\ud83d\\udc4d"}',
    "reactionRemoved": '{"messageId":"12","emoji":"\\ud83d\\udc4d"}',
    "messagePinned": '{"messageId":"12"}',
    "messageUnpinned": '{"messageId":"12"}',
    "memberJoined": '{"membership":{"userId":"9","role":"ROLE_MEMBER","state":"MEMBERSHIP_STATE_JOINED"}}',
    "memberLeft": '{"userId":"9","actorUserId":"10","reason":"MEMBER_LEFT_REASON_REMOVED"}',
    "membershipUpdated": '{"membership":{"userId":"9","role":"ROLE_OWNER","state":"MEMBERSHIP_STATE_LEFT"}}',
    "roomUpdated": '{"room":{"roomId":"7","title":"Team","kind":"ROOM_KIND_PUBLIC"}}',
    "roomArchived": '{"archiveTime":"2026-11-22T15:00:00Z"}',
}
SIGNED_IN = '{"user":{"userId":"9","username":"ada"},"accessToken":"a","expiresIn":"900s","refreshToken":"r"}'
SECONDS = re.compile(r"(\d+)(?:\.(\d+))?s")


def canonical(value: object) -> object:
    """Write every duration with three decimals: protobuf prints 0, 3, 6 or 9, and reads any."""
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [canonical(inner) for inner in value]
    if isinstance(value, str) and (found := SECONDS.fullmatch(value)):
        return f"{found[1]}.{(found[2] or '').ljust(3, '0')}s"
    return value


def assert_prints_as_it_was(sample: str, kind: type[Message]) -> None:
    """Parse a sample, take it through the binary codec, and print it: the object is the same."""
    parsed = kind.FromString(json_format.Parse(sample, kind()).SerializeToString())
    printed = json.loads(json_format.MessageToJson(parsed))
    assert canonical(printed) == canonical(json.loads(sample))


@pytest.mark.parametrize("sample", CLIENT)
def test_a_client_frame_prints_as_it_was_read(sample: str) -> None:
    """Every client frame of the contract means the same in both codecs."""
    assert_prints_as_it_was(sample, ClientFrame)


@pytest.mark.parametrize("sample", SERVER)
def test_a_server_frame_prints_as_it_was_read(sample: str) -> None:
    """Every server frame of the contract means the same in both codecs, with what is false, 0 or empty."""
    assert_prints_as_it_was(sample, ServerFrame)


@pytest.mark.parametrize("payload", EVENTS)
def test_an_event_prints_as_it_was_read(payload: str) -> None:
    """Every durable thing that can happen in a room has its event under its own name."""
    event = f'{{"roomId":"7","sequence":"45","{payload}":{EVENTS[payload]}}}'
    assert_prints_as_it_was(f'{{"event":{event}}}', ServerFrame)


@pytest.mark.parametrize("kind", [RegisterResponse, LoginResponse, RefreshSessionResponse])
def test_every_way_in_answers_alike(kind: type[Message]) -> None:
    """Register, Login and RefreshSession answer with the same words."""
    assert_prints_as_it_was(SIGNED_IN, kind)


def bodies(frame: type[Message]) -> set[str]:
    return {field.json_name for field in frame.DESCRIPTOR.oneofs_by_name["body"].fields}


def shown(samples: list[str]) -> set[str]:
    return {key for sample in samples for key in json.loads(sample)} - {"id"}


def test_every_body_has_a_sample() -> None:
    """A frame without a sample here is not part of the contract, but for the one of the binary codec."""
    assert bodies(ClientFrame) == shown(CLIENT)
    assert bodies(ServerFrame) == shown(SERVER) | {"resultMessage"}


def test_the_binary_codec_carries_a_call_as_bytes() -> None:
    """In binary a call's request and its response are serialized messages and not Structs."""
    call = ClientFrame(id=3)
    call.call.method = "polychat.auth.v1.AuthService/GetJwks"
    call.call.message = b"\x08\x01"
    answer = ServerFrame(id=3, result_message=b"\x08\x02")
    assert ClientFrame.FromString(call.SerializeToString()) == call
    assert ServerFrame.FromString(answer.SerializeToString()).WhichOneof("body") == "result_message"


def test_an_unknown_body_is_refused() -> None:
    """A frame whose body has another name is not read as an empty one."""
    with pytest.raises(json_format.ParseError, match="shout"):
        json_format.Parse('{"id":1,"shout":{}}', ClientFrame())
