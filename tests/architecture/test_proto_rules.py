"""The rules on requests: what is refused before a service sees it, and that nothing is unbounded."""

from collections.abc import Iterator
from importlib import import_module

import protovalidate
import pytest
from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.message import Message
from polychat.auth.v1 import auth_service_pb2 as auth
from polychat.chat.v1 import membership_service_pb2 as membership
from polychat.chat.v1 import messaging_service_pb2 as messaging
from polychat.chat.v1 import room_pb2
from polychat.chat.v1 import room_service_pb2 as room
from polychat.edge.v1 import client_frame_pb2 as edge
from polychat.message.v1 import message_service_pb2 as message
from polychat.user.v1 import user_service_pb2 as user

from chassis.errors import InvalidRequest
from chassis.validation import validate
from scripts.proto.tree import DESCRIPTOR_SET, GEN, sources

UUID = "0198c0de-7a11-7000-8000-000000000001"
PASSWORD = "correct horse"
Field = descriptor_pb2.FieldDescriptorProto


def send(text: str = "hi", request_id: str = UUID, room_id: int = 7, mentioned: int = 0) -> Message:
    return messaging.SendMessageRequest(
        room_id=room_id, request_id=request_id, text=text, mentioned_user_ids=range(1, mentioned + 1)
    )


def register(username: str = "ada", password: str = PASSWORD, **rest: str) -> Message:
    return auth.RegisterRequest(username=username, password=password, **rest)


def create(title: str = "Team", kind: room_pb2.RoomKind.ValueType = room_pb2.ROOM_KIND_GROUP) -> Message:
    return room.CreateRoomRequest(request_id=UUID, title=title, kind=kind)


def hello(rooms: int) -> Message:
    cursors = [edge.RoomCursor(room_id=number) for number in range(1, rooms + 1)]
    return edge.ClientFrame(hello=edge.Hello(access_token="a", rooms=cursors))


def unknown_kind() -> room_pb2.RoomKind.ValueType:
    """Read a kind from the wire that this version does not know; proto3 keeps it."""
    return room.CreateRoomRequest.FromString(b"\x18\x09").kind


ALLOWED: dict[str, Message] = {
    "one byte": send(text="a"),
    "16 KiB": send(text="a" * 16384),
    "a hundred mentions": send(mentioned=100),
    "without an email": register(),
    "an email": register(email="ada@example.org"),
    "every sort of character": register(username="A-d.a_9"),
    "8 bytes of password": register(password="12345678"),
    "a group when not said": create(kind=room_pb2.ROOM_KIND_UNSPECIFIED),
    "a public room": create(kind=room_pb2.ROOM_KIND_PUBLIC),
    "200 characters of several bytes": create(title="ö" * 200),
    "the default page": room.ListRoomsRequest(),
    "the largest page": room.ListRoomsRequest(page_size=100),
    "from the beginning": message.ListEventsRequest(room_id=7, after_sequence=0),
    "nothing to change": user.UpdateUserRequest(),
    "an emptied bio": user.UpdateUserRequest(bio=""),
    "a thousand cursors": hello(rooms=1000),
    "a call without parameters": edge.ClientFrame(call=edge.Call(method="a.B/C")),
}
REFUSED: dict[str, list[Message]] = {
    "text": [send(text=""), send(text="a" * 16385), send(text="ö" * 8193)],
    "request_id": [send(request_id=""), send(request_id="7"), send(request_id=UUID + "0")],
    "room_id": [send(room_id=0), send(room_id=-1), message.ListEventsRequest()],
    "mentioned_user_ids": [send(mentioned=101)],
    "username": [register(username=name) for name in ("", "ab", "a" * 51, "a b", "-ada", "ädä", "ada\n")],
    "password": [register(password="1234567"), register(password="a" * 257)],
    "email": [register(email="ada"), register(email="@example.org")],
    "display_name": [register(display_name="a" * 101), user.UpdateUserRequest(display_name="a" * 101)],
    "bio": [user.UpdateUserRequest(bio="a" * 501)],
    "title": [create(title=""), create(title="a" * 201), room.UpdateRoomRequest(room_id=7, title="")],
    "kind": [create(kind=room_pb2.ROOM_KIND_DIRECT), create(kind=unknown_kind())],
    "role": [membership.UpdateMembershipRequest(room_id=7, user_id=9)],
    "user_ids": [
        membership.AddMembersRequest(room_id=7),
        membership.AddMembersRequest(room_id=7, user_ids=range(1, 102)),
    ],
    "user_ids[0]": [membership.AddMembersRequest(room_id=7, user_ids=[0])],
    "page_size": [room.ListRoomsRequest(page_size=-1), room.ListRoomsRequest(page_size=101)],
    "page_token": [room.ListRoomsRequest(page_token="a" * 1025)],
    "after_sequence": [message.ListEventsRequest(room_id=7, after_sequence=-1)],
    "before_sequence": [message.ListMessagesRequest(room_id=7, before_sequence=0)],
    "body": [edge.ClientFrame(id=1)],
    "hello.rooms": [hello(rooms=1001)],
    "hello.access_token": [edge.ClientFrame(hello=edge.Hello())],
    "send.text": [edge.ClientFrame(send=messaging.SendMessageRequest(room_id=7, request_id=UUID))],
}


@pytest.mark.parametrize("case", ALLOWED)
def test_the_edge_of_what_is_allowed_passes(case: str) -> None:
    """The smallest and the largest allowed values are allowed."""
    validate(ALLOWED[case])


@pytest.mark.parametrize(("field", "request_"), [(field, bad) for field in REFUSED for bad in REFUSED[field]])
def test_a_wrong_shape_names_its_field(field: str, request_: Message) -> None:
    """One step past a limit is refused, for that field and no other."""
    with pytest.raises(InvalidRequest) as refused:
        validate(request_)
    assert {violation.field for violation in refused.value.violations} == {field}


def requests() -> Iterator[tuple[str, descriptor_pb2.DescriptorProto]]:
    files = descriptor_pb2.FileDescriptorSet.FromString((GEN / DESCRIPTOR_SET).read_bytes())
    for file in files.file:
        for found in file.message_type if file.package.startswith("polychat.") else ():
            from_client = file.name.endswith(("client_frame.proto", "signal.proto"))
            if ".internal." not in file.package and (from_client or found.name.endswith("Request")):
                yield file.package, found


def test_nothing_a_client_sends_is_unbounded() -> None:
    """Every text, every bytes and every list in a request has an upper limit of its own."""
    loose = [
        f"{package}.{found.name}.{field.name}"
        for package, found in requests()
        for field in found.field
        if not bounded(field)
    ]
    # The serialized request of a call: the frame's own limit holds.
    assert loose == ["polychat.edge.v1.Call.message"]


def bounded(field: descriptor_pb2.FieldDescriptorProto) -> bool:
    rules = field.options.Extensions[validate_pb2.field]
    if field.label == Field.LABEL_REPEATED:
        return rules.repeated.HasField("max_items")
    if field.type in (Field.TYPE_STRING, Field.TYPE_BYTES):
        return rules.string.HasField("max_len") or rules.string.HasField("max_bytes") or rules.string.uuid
    return True


@pytest.mark.parametrize("name", [name for name in sources() if name.startswith("polychat/")])
def test_every_rule_compiles(name: str) -> None:
    """protovalidate can read the rules of every message, also of those that no test here sends."""
    file = import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2").DESCRIPTOR
    for descriptor in file.message_types_by_name.values():
        protovalidate.collect_violations(message_factory.GetMessageClass(descriptor)())
