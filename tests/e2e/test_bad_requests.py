"""Requests that are well formed and not allowed, for every method that the descriptors know."""

from __future__ import annotations

import base64
import uuid

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from tests.support.api import Api, ApiError, Json, User
from tests.support.methods import METHODS, full_name, request_of, service_of
from tests.support.stack import Stack

WITH_A_ROOM = sorted(name for name, m in METHODS.items() if "room_id" in m.input_type.fields_by_name)
"""Every method that takes a room id; whoever adds one gets it tested."""

PAGED = sorted(name for name, m in METHODS.items() if "page_token" in m.input_type.fields_by_name)

LATER = frozenset(
    {
        "RoomService/UpdateRoom",
        "RoomService/ArchiveRoom",
        "MembershipService/BanMember",
        "MembershipService/UnbanMember",
        "MembershipService/UpdateMembership",
        "MembershipService/CreateInvite",
        "MembershipService/AcceptInvite",
        "MembershipService/RevokeInvite",
        "MessagingService/EditMessage",
        "MessagingService/DeleteMessage",
        "MessagingService/AddReaction",
        "MessagingService/RemoveReaction",
        "MessagingService/PinMessage",
        "MessagingService/UnpinMessage",
        "MessageService/ListThread",
        "MessageService/SearchMessages",
        "SessionService/ListSessions",
        "SessionService/RevokeSession",
        "SessionService/RevokeAllSessions",
        "AuthService/ChangePassword",
        "BlockService/BlockUser",
        "BlockService/UnblockUser",
        "BlockService/ListBlockedUsers",
        "PresenceService/BatchGetPresence",
        "PresenceService/SetStatus",
    }
)
"""In the contract and not built yet: they may answer UNIMPLEMENTED until they are."""

OPEN = frozenset(f"AuthService/{name}" for name in ("Register", "Login", "RefreshSession", "GetJwks"))
"""What the contract lets anybody call."""

EXAMPLES: Json = {
    "request_id": "0198c0de-0000-4000-8000-00000000000a",
    "title": "Taken over",
    "text": "let me in",
    "emoji": "👀",
    "query": "secret",
    "role": "ROLE_OWNER",
    "message_id": "1",
    "thread_root_message_id": "1",
    "invite_id": "1",
    "user_id": "1",
    "read_sequence": "0",
    "code": "nocode",
    "status_text": "here",
}


def _example(field: FieldDescriptor, user: User) -> object:
    if field.name == "user_ids":
        return [str(user.user_id)]
    return str(user.user_id) if field.name == "user_id" else EXAMPLES.get(field.name)


def _request(method: str, user: User, room: int | None = None) -> Json:
    fields = METHODS[method].input_type.fields
    filled = {field.json_name: _example(field, user) for field in fields}
    request = {name: value for name, value in filled.items() if value is not None}
    return request if room is None else request | {"roomId": str(room)}


def _expected(method: str) -> set[tuple[str, str]]:
    refusal = {("permission_denied", "NOT_A_MEMBER")}
    if method == "MembershipService/JoinRoom":
        refusal = {("permission_denied", "ROOM_NOT_PUBLIC")}
    return refusal | ({("unimplemented", "UNIMPLEMENTED")} if method in LATER else set())


@pytest.mark.parametrize("method", WITH_A_ROOM)
async def test_an_outsider_may_do_nothing_in_a_room(
    api: Api, stack: Stack, people: list[User], method: str
) -> None:
    """Refused at the edge and at the service, alike for a room that is and one that is not; nothing moves."""
    anna, bert, cleo, _ = people
    room = await api.create_room(anna, [bert])
    await api.send(anna, room, "secret")
    head = await api.head(anna, room)
    answers = set()
    for room_id in (room, 4711):
        with pytest.raises(ApiError) as refused:
            await api.call(method, _request(method, bert, room_id), cleo)
        error = refused.value
        answers.add((error.status, str(error.body).replace(str(room_id), "ROOM")))
        assert (error.code, error.reason) in _expected(method)
        assert "secret" not in str(error.body)
    assert len({status for status, _ in answers}) == 1
    assert await _refusal(stack, method, _request(method, bert, room), cleo) in {
        (code.upper(), reason) for code, reason in _expected(method)
    }
    assert await api.head(anna, room) == head
    members = await api.pages("MembershipService/ListMemberships", {"roomId": str(room)}, anna, "memberships")
    assert {m["userId"] for m in members} == {str(anna.user_id), str(bert.user_id)}
    listed = await api.pages("RoomService/ListRooms", {}, cleo, "rooms")
    assert str(room) not in {r["roomId"] for r in listed}


async def _refusal(stack: Stack, method: str, params: Json, user: User) -> tuple[str, str]:
    """The code and the one ErrorInfo's reason of a call straight to the service."""
    async with grpc.aio.insecure_channel(stack.grpc_address(service_of(method))) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{full_name(method)}")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(
                request_of(method, params).SerializeToString(),
                metadata=[("authorization", f"Bearer {user.access_token}")],
                timeout=10,
            )
    status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]  # takes what aio raises as well
    assert status is not None
    infos = [detail for detail in status.details if detail.Is(ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = ErrorInfo.FromString(infos[0].value)
    assert info.domain == "polychat"
    return refused.value.code().name, info.reason


@pytest.mark.parametrize("method", sorted(METHODS.keys() - LATER - OPEN))
async def test_nobody_calls_without_a_token(api: Api, people: list[User], method: str) -> None:
    """Only those that the contract names answer without one."""
    with pytest.raises(ApiError) as refused:
        await api.call(method, _request(method, people[0], 1))
    assert (refused.value.status, refused.value.reason) == (401, "TOKEN_MISSING")


@pytest.mark.parametrize("method", sorted(set(PAGED) - LATER))
@pytest.mark.parametrize("token", ["changed", "AAAA", "💥", "x" * 1025])
async def test_a_page_token_that_was_changed_is_refused(
    api: Api, people: list[User], method: str, token: str
) -> None:
    """PAGE_TOKEN_INVALID, or INVALID_FIELD for one that no page ever had."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    request = _request(method, bert, room if method in WITH_A_ROOM else None)
    with pytest.raises(ApiError) as refused:
        await api.call(method, request | {"pageToken": token}, anna)
    assert refused.value.status == 400
    expected = "INVALID_FIELD" if len(token) > 1024 else "PAGE_TOKEN_INVALID"
    assert refused.value.reason == expected


async def test_a_real_page_token_with_any_byte_changed_is_refused(api: Api, people: list[User]) -> None:
    """Signed as a whole."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    request: Json = {"roomId": str(room), "afterSequence": "0", "pageSize": 1}
    token = (await api.call("MessageService/ListEvents", request, anna))["nextPageToken"]
    for place in range(0, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(ApiError) as refused:
            await api.call("MessageService/ListEvents", request | {"pageToken": changed}, anna)
        assert refused.value.reason == "PAGE_TOKEN_INVALID", place


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"requestId": "0198c0de"}, "request_id"),
        ({"requestId": "{0198c0de-0000-4000-8000-00000000000a}"}, "request_id"),
        ({"text": ""}, "text"),
        ({"text": "x" * 16_385}, "text"),
        ({"text": "é" * 8_192 + "x"}, "text"),
        ({"roomId": "0"}, "room_id"),
    ],
)
async def test_a_send_of_a_wrong_shape_names_the_field(
    api: Api, people: list[User], change: Json, field: str
) -> None:
    """INVALID_FIELD with the violation; the room does not move."""
    anna = people[0]
    room = await api.create_room(anna)
    request = {"roomId": str(room), "requestId": str(uuid.uuid4()), "text": "x"} | change
    with pytest.raises(ApiError) as refused:
        await api.call("MessagingService/SendMessage", request, anna)
    assert (refused.value.code, refused.value.reason) == ("invalid_argument", "INVALID_FIELD")
    bad = next(d["debug"] for d in refused.value.body["details"] if d["type"] == "google.rpc.BadRequest")
    assert [violation["field"] for violation in bad["fieldViolations"]] == [field]
    assert await api.head(anna, room) == 1


@pytest.mark.parametrize(
    "text", ["x" * 16_384, "é" * 8_192, "\x00", "\u202eevil\u2066", "' OR 1=1; --", "𝄞", " "]
)
async def test_any_text_of_the_right_size_is_kept_as_it_is(api: Api, people: list[User], text: str) -> None:
    """16 KiB and every character that UTF-8 has, byte for byte."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    await api.send(anna, room, text)
    newest = await api.call("MessageService/ListMessages", {"roomId": str(room)}, bert)
    assert newest["messages"][-1]["text"] == text


async def test_an_error_is_told_twice_alike(api: Api, people: list[User]) -> None:
    """The base64 `value` of a Connect error's detail is what its `debug` shows."""
    with pytest.raises(ApiError) as refused:
        await api.call("RoomService/GetRoom", {"roomId": "4711"}, people[0])
    detail = next(d for d in refused.value.body["details"] if d["type"] == "google.rpc.ErrorInfo")
    value = detail["value"]
    info = ErrorInfo.FromString(base64.b64decode(value + "=" * (-len(value) % 4)))
    assert (info.reason, info.domain) == (detail["debug"]["reason"], detail["debug"]["domain"])
    assert dict(info.metadata) == detail["debug"]["metadata"] == {"roomId": "4711"}


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"roomId":' + b"[" * 5_000 + b"}", "application/json", 400),
        (b'{"roomId":"seven"}', "application/json", 400),
        (b'{"roomId":"9223372036854775808"}', "application/json", 400),
        (b"\xff\xff", "application/proto", 400),
        (b"{}", "text/plain", 415),
        (b" " * (2 * 1024 * 1024), "application/json", 413),
    ],
    ids=["cut", "array", "deep", "no number", "past int64", "no message", "another type", "too long"],
)
async def test_a_body_that_cannot_be_read_is_refused(
    api: Api, people: list[User], content: bytes, kind: str, status: int
) -> None:
    """With the status that says so, and no inner text."""
    response = await api.http.post(
        "/api/polychat.chat.v1.RoomService/GetRoom",
        content=content,
        headers={"authorization": f"Bearer {people[0].access_token}", "content-type": kind},
    )
    assert response.status_code == status
    assert "Traceback" not in response.text
