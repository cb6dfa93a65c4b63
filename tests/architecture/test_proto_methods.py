"""The public methods and the JSON names of their fields, which clients that are not ours rely on."""

import re
from collections.abc import Iterator

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from scripts.proto.tree import DESCRIPTOR_SET, GEN

# {service: {method: "request fields -> response fields"}}; `user{userId}` names fields inside a field.
CONTRACT = {
    "auth.v1.AuthService": {
        "Register": "username password displayName email"
        " -> user{userId username} accessToken expiresIn refreshToken",
        "Login": "username password deviceName -> user{userId username} accessToken expiresIn refreshToken",
        "RefreshSession": "refreshToken -> user{userId username} accessToken expiresIn refreshToken",
        "Logout": "->",
        "ChangePassword": "currentPassword newPassword ->",
        "GetJwks": "-> keys{kty kid use alg crv x y}",
    },
    "auth.v1.SessionService": {
        "ListSessions": "pageSize pageToken -> sessions nextPageToken",
        "RevokeSession": "sessionId ->",
        "RevokeAllSessions": "->",
    },
    "user.v1.UserService": {
        "GetUser": "userId -> user{userId username displayName bio}",
        "BatchGetUsers": "userIds -> users{userId}",
        "UpdateUser": "displayName bio -> user",
        "SearchUsers": "query pageSize pageToken -> users nextPageToken",
    },
    "user.v1.BlockService": {
        "BlockUser": "userId ->",
        "UnblockUser": "userId ->",
        "ListBlockedUsers": "pageSize pageToken -> users nextPageToken",
    },
    "chat.v1.RoomService": {
        "CreateRoom": "requestId title kind -> room{roomId title kind}",
        "OpenDirectRoom": "userId -> room{roomId title kind}",
        "GetRoom": "roomId -> room{roomId title kind}",
        "ListRooms": "pageSize pageToken"
        " -> rooms{roomId title kind headSequence readSequence unreadCount lastMessage} nextPageToken",
        "ListPublicRooms": "pageSize pageToken"
        " -> rooms{roomId title kind headSequence readSequence unreadCount lastMessage} nextPageToken",
        "UpdateRoom": "roomId title -> room{roomId title kind}",
        "ArchiveRoom": "roomId -> room{roomId title kind}",
    },
    "chat.v1.MembershipService": {
        "JoinRoom": "roomId -> membership{userId role state}",
        "LeaveRoom": "roomId ->",
        "AddMembers": "roomId userIds -> memberships{userId role state}",
        "RemoveMember": "roomId userId ->",
        "BanMember": "roomId userId ->",
        "UnbanMember": "roomId userId ->",
        "UpdateMembership": "roomId userId role -> membership{userId role state}",
        "ListMemberships": "roomId pageSize pageToken -> memberships{userId role state} nextPageToken",
        "CreateInvite": "requestId roomId -> invite{inviteId code}",
        "AcceptInvite": "code -> membership{userId role state}",
        "RevokeInvite": "roomId inviteId ->",
    },
    "chat.v1.MessagingService": {
        "SendMessage": "roomId requestId text replyToMessageId threadRootMessageId mentionedUserIds"
        " -> roomId sequence messageId createTime duplicate",
        "EditMessage": "roomId messageId text -> sequence",
        "DeleteMessage": "roomId messageId -> sequence",
        "AddReaction": "roomId messageId emoji -> sequence",
        "RemoveReaction": "roomId messageId emoji -> sequence",
        "PinMessage": "roomId messageId -> sequence",
        "UnpinMessage": "roomId messageId -> sequence",
    },
    "chat.v1.PresenceService": {
        "BatchGetPresence": "userIds -> presences{userId state lastActiveTime}",
        "SetStatus": "statusText ->",
    },
    "message.v1.MessageService": {
        "GetMessage": "roomId messageId -> message{text attachments replyToMessageId threadRootMessageId"
        " mentionedUserIds createTime editTime deleteTime messageId messageNumber senderUserId roomId}",
        "ListMessages": "roomId afterSequence beforeSequence pageSize pageToken -> messages nextPageToken",
        "ListEvents": "roomId afterSequence beforeSequence pageSize pageToken -> events nextPageToken",
        "ListThread": "roomId threadRootMessageId pageSize pageToken -> messages nextPageToken",
        "SearchMessages": "roomId query pageSize pageToken -> messages nextPageToken",
    },
    "message.v1.ReceiptService": {
        "AdvanceReceipt": "roomId readSequence -> receipt{userId readSequence}",
        "ListReceipts": "roomId pageSize pageToken -> receipts{userId readSequence} nextPageToken",
    },
}
STREAMS = {"edge.v1.EdgeService": {"Session"}}
ENUMS = {
    "chat.v1.RoomKind": "ROOM_KIND_DIRECT ROOM_KIND_GROUP ROOM_KIND_PUBLIC",
    "chat.v1.Role": "ROLE_OWNER ROLE_MODERATOR ROLE_MEMBER",
    "chat.v1.MembershipState": "MEMBERSHIP_STATE_INVITED MEMBERSHIP_STATE_JOINED MEMBERSHIP_STATE_LEFT"
    " MEMBERSHIP_STATE_BANNED",
    "chat.v1.PresenceState": "PRESENCE_STATE_ONLINE PRESENCE_STATE_AWAY PRESENCE_STATE_OFFLINE",
}
METHODS = [(service, method) for service, methods in CONTRACT.items() for method in methods]


@pytest.fixture(scope="module")
def files() -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString((GEN / DESCRIPTOR_SET).read_bytes())


@pytest.fixture(scope="module")
def pool(files: descriptor_pb2.FileDescriptorSet) -> DescriptorPool:
    pool = DescriptorPool()
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def service_of(pool: DescriptorPool, name: str) -> ServiceDescriptor:
    return pool.FindServiceByName(f"polychat.{name}")


def method_of(pool: DescriptorPool, service: str, method: str) -> MethodDescriptor:
    return service_of(pool, service).methods_by_name[method]


def missing(message: Descriptor | None, wanted: str, prefix: str = "") -> Iterator[str]:
    """Yield the names in `wanted` that the message has no field for."""
    by_name = {field.json_name: field for field in message.fields} if message else {}
    for name, inner in re.findall(r"(\w+)(?:\{([^}]*)\})?", wanted):
        if name not in by_name:
            yield prefix + name
        elif inner:
            yield from missing(by_name[name].message_type, inner, f"{prefix}{name}.")


def public(files: descriptor_pb2.FileDescriptorSet) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    for file in files.file:
        if file.package.startswith("polychat.") and not file.package.startswith("polychat.internal."):
            yield file


@pytest.mark.parametrize(("service", "method"), METHODS)
def test_a_method_has_the_fields_that_clients_use(pool: DescriptorPool, service: str, method: str) -> None:
    """Each method of the contract exists and its request and response have the promised JSON names."""
    found = method_of(pool, service, method)
    request, _, response = CONTRACT[service][method].partition("->")
    assert [
        *missing(found.input_type, request, "request."),
        *missing(found.output_type, response, "response."),
    ] == []


def test_there_is_no_public_method_beside_the_contract(files: descriptor_pb2.FileDescriptorSet) -> None:
    """A method that nobody promised is not public; a new one is added here knowingly."""
    found = {
        f"{file.package.removeprefix('polychat.')}.{service.name}": {method.name for method in service.method}
        for file in public(files)
        for service in file.service
    }
    assert found == {name: set(methods) for name, methods in CONTRACT.items()} | STREAMS


def test_the_session_streams_both_ways(pool: DescriptorPool) -> None:
    """EdgeService.Session takes the client's frames and gives the server's, as the WebSocket does."""
    method = method_of(pool, "edge.v1.EdgeService", "Session")
    assert (method.client_streaming, method.server_streaming) == (True, True)
    assert (method.input_type.name, method.output_type.name) == ("ClientFrame", "ServerFrame")


@pytest.mark.parametrize("name", ENUMS)
def test_enum_values_keep_their_names(pool: DescriptorPool, name: str) -> None:
    """JSON carries the names of enum values, so they are as fixed as field names."""
    enum = pool.FindEnumTypeByName(f"polychat.{name}")
    assert [value.name for value in enum.values if value.number] == ENUMS[name].split()


def test_ids_and_sequences_are_64_bit(files: descriptor_pb2.FileDescriptorSet) -> None:
    """Ids, sequences and message numbers are int64, so JSON has them as strings and no client rounds them."""
    texts = {"request_id", "connection_id", "file_id"}
    wrong = [
        f"{message.name}.{field.name}"
        for file in public(files)
        for message in file.message_type
        for field in message.field
        if re.search(r"_ids?$|sequence$|^message_number$", field.name)
        and field.name not in texts
        and field.type != descriptor_pb2.FieldDescriptorProto.TYPE_INT64
    ]
    assert wrong == []


def test_times_are_timestamps_and_spans_are_durations(files: descriptor_pb2.FileDescriptorSet) -> None:
    """What is called a time is a Timestamp, and what is waited for is a Duration."""
    spans = {"expires_in", "heartbeat", "retry_after", "reconnect_after"}
    wrong = [
        f"{message.name}.{field.name}"
        for file in public(files)
        for message in file.message_type
        for field in message.field
        if (field.name.endswith("_time") and field.type_name != ".google.protobuf.Timestamp")
        or (field.name in spans and field.type_name != ".google.protobuf.Duration")
    ]
    assert wrong == []
