"""Tokens that are wrong, at the real edge (HTTP and WebSocket) and at a real service."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import grpc
import grpc.aio
import httpx
import pytest
from polychat.chat.v1.room_service_pb2 import ListRoomsRequest
from polychat.chat.v1.room_service_pb2_grpc import RoomServiceStub
from polychat.internal.log.v1.log_read_service_pb2 import BatchGetHeadsRequest
from polychat.internal.log.v1.log_read_service_pb2_grpc import LogReadServiceStub
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.support.api import Api, ApiError, User
from tests.support.forging import Forger, ago, stranger_key, with_another_signature, with_another_user
from tests.support.peer import Connect, OpenTransport, Peer, Refused
from tests.support.stack import Stack
from tests.support.transports import Closed

Vector = tuple[Callable[[Forger, User, User], str], str]

VECTORS: dict[str, Vector] = {
    "expired": (lambda f, u, _: f.token(u, claims={"exp": ago(120), "nbf": ago(1000)}), "TOKEN_EXPIRED"),
    "not valid yet": (lambda f, u, _: f.token(u, claims={"nbf": ago(-600)}), "TOKEN_INVALID"),
    "signature changed": (lambda _f, u, _: with_another_signature(u.access_token), "TOKEN_INVALID"),
    "another user": (lambda _f, u, o: with_another_user(u.access_token, o.user_id), "TOKEN_INVALID"),
    "another key under our kid": (lambda f, u, _: f.token(u, key=stranger_key()), "TOKEN_INVALID"),
    "unknown kid": (lambda f, u, _: f.token(u, header={"kid": "nobody"}), "TOKEN_INVALID"),
    "alg none": (lambda f, u, _: f.unsigned(u), "TOKEN_INVALID"),
    "HS256 with the public key": (lambda f, u, _: f.signed_with_the_public_key(u), "TOKEN_INVALID"),
    "another audience": (lambda f, u, _: f.token(u, claims={"aud": "elsewhere"}), "TOKEN_INVALID"),
    "two audiences": (lambda f, u, _: f.token(u, claims={"aud": ["polychat", "x"]}), "TOKEN_INVALID"),
    "another issuer": (lambda f, u, _: f.token(u, claims={"iss": "elsewhere"}), "TOKEN_INVALID"),
    "another type": (lambda f, u, _: f.token(u, header={"typ": "JWT"}), "TOKEN_INVALID"),
    "no expiry": (lambda f, u, _: f.token(u, claims={"exp": None}), "TOKEN_INVALID"),
    "no session": (lambda f, u, _: f.token(u, claims={"sid": None}), "TOKEN_INVALID"),
    "a key inside": (lambda f, u, _: f.token(u, header={"jwk": f.public_jwk}), "TOKEN_INVALID"),
    "no token": (lambda _f, _u, _: "nonsense", "TOKEN_INVALID"),
    "a refresh token": (lambda _f, u, _: u.refresh_token, "TOKEN_INVALID"),
}


@pytest.fixture(scope="module")
def forger(stack: Stack) -> Forger:
    """Has auth's key."""
    return Forger(stack)


async def _by_grpc(address: str, *metadata: tuple[str, str]) -> grpc.aio.AioRpcError | None:
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            await RoomServiceStub(channel).ListRooms(ListRoomsRequest(), metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error
    return None


async def test_a_right_token_of_the_forger_is_taken(
    api: Api, stack: Stack, people: list[User], forger: Forger
) -> None:
    """Or else none of the refusals below would prove anything."""
    token = forger.token(people[0])
    await api.call("RoomService/ListRooms", {}, token)
    assert await _by_grpc(stack.grpc_address("chat"), ("authorization", f"Bearer {token}")) is None


@pytest.mark.parametrize("name", VECTORS)
async def test_a_wrong_token_is_refused_everywhere(
    api: Api, stack: Stack, people: list[User], forger: Forger, open_transport: OpenTransport, name: str
) -> None:
    """401 on HTTP, UNAUTHENTICATED at a service, an error and a close on the WebSocket: one reason."""
    make, reason = VECTORS[name]
    token = make(forger, people[0], people[1])
    with pytest.raises(ApiError) as refused:
        await api.call("RoomService/ListRooms", {}, token)
    assert (refused.value.status, refused.value.reason) == (401, reason)
    for service in ("chat", "edge"):
        error = await _by_grpc(stack.grpc_address(service), ("authorization", f"Bearer {token}"))
        assert error is not None
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    peer = Peer(await open_transport("json"))
    with pytest.raises((Refused, Closed)) as closed:
        await peer.hello(token)
    assert reason in str(closed.value) + str(peer.frames)
    assert (await peer.closed()).code == (4101 if reason == "TOKEN_EXPIRED" else 4200)
    await peer.end()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "TOKEN_MISSING"),
        ("", "TOKEN_INVALID"),
        ("Bearer", "TOKEN_INVALID"),
        ("Basic abc", "TOKEN_INVALID"),
        ("Bearer a, Bearer b", "TOKEN_INVALID"),
    ],
)
async def test_no_bearer_token_no_answer(api: Api, header: str | None, reason: str) -> None:
    """TOKEN_MISSING where there is no header, TOKEN_INVALID where it holds no bearer token."""
    headers = {} if header is None else {"authorization": header}
    with pytest.raises(ApiError) as refused:
        await api.call("RoomService/ListRooms", {}, headers=headers)
    assert (refused.value.status, refused.value.reason) == (401, reason)


async def test_identity_headers_from_outside_say_nothing(api: Api, stack: Stack, people: list[User]) -> None:
    """Neither make they a caller of nobody, nor another one of somebody, nor an internal one."""
    anna, bert, *_ = people
    headers = {
        "x-user-id": str(bert.user_id),
        "x-polychat-user-id": str(bert.user_id),
        "x-polychat-session-id": "1",
        "x-polychat-internal": "guess",
        "x-forwarded-user": bert.username,
    }
    with pytest.raises(ApiError) as refused:
        await api.call("RoomService/ListRooms", {}, headers=headers)
    assert refused.value.reason == "TOKEN_MISSING"
    updated = await api.call("UserService/UpdateUser", {"displayName": "Anna"}, anna, headers)
    assert updated["user"]["userId"] == str(anna.user_id)
    error = await _by_grpc(stack.grpc_address("chat"), *headers.items())
    assert error is not None
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_internal_methods_are_for_internal_callers(stack: Stack, people: list[User]) -> None:
    """With no credential, a guess, or a user's token: refused by the service, unknown to the edge."""
    token = ("authorization", f"Bearer {people[0].access_token}")
    for metadata in ([], [("x-polychat-internal", "guess")], [token]):
        async with grpc.aio.insecure_channel(stack.grpc_address("message")) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await LogReadServiceStub(channel).BatchGetHeads(
                    BatchGetHeadsRequest(room_ids=[1]), metadata=metadata, timeout=10
                )
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    secret = ("x-polychat-internal", stack.secret("internal.credential"))
    async with grpc.aio.insecure_channel(stack.grpc_address("edge")) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await LogReadServiceStub(channel).BatchGetHeads(
                BatchGetHeadsRequest(room_ids=[1]), metadata=[secret], timeout=10
            )
    assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("name", ["token", "access_token", "jwt"])
async def test_a_token_in_the_url_is_refused(api: Api, stack: Stack, people: list[User], name: str) -> None:
    """Before the upgrade, and on HTTP, although the token is good: URLs end in logs."""
    query = f"?{name}={people[0].access_token}"
    with pytest.raises(InvalidStatus) as refused:
        await open_socket(stack.ws_url + query, proxy=None)
    assert 400 <= refused.value.response.status_code < 500
    response = await api.http.post(
        f"/api/polychat.chat.v1.RoomService/ListRooms{query}",
        json={},
        headers={"authorization": f"Bearer {people[0].access_token}"},
    )
    assert response.status_code == 400


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://127.0.0.1:1"]
)
async def test_a_foreign_origin_is_refused_before_the_upgrade(stack: Stack, origin: str) -> None:
    """403, no WebSocket."""
    with pytest.raises(InvalidStatus) as refused:
        await open_socket(stack.ws_url, additional_headers={"Origin": origin}, proxy=None)
    assert refused.value.response.status_code == 403


async def test_the_own_origin_and_none_are_taken(stack: Stack, people: list[User], connect: Connect) -> None:
    """The page's own, and programs that have none."""
    await connect(people[0])
    async with open_socket(stack.ws_url, additional_headers={"Origin": stack.http_url}, proxy=None) as socket:
        assert socket.subprotocol is None


async def test_a_protocol_we_do_not_speak_is_refused(stack: Stack) -> None:
    """Before the upgrade or with 4202: there is no falling back to JSON in silence."""
    try:
        async with open_socket(stack.ws_url, subprotocols=[Subprotocol("chat.v9")], proxy=None) as socket:
            await socket.wait_closed()
            code = socket.close_code
    except InvalidStatus as refused:
        code = refused.response.status_code
    assert code in (400, 4202)


async def test_a_service_does_not_believe_the_edge(stack: Stack, people: list[User]) -> None:
    """Even the internal credential makes nobody a user."""
    secret = ("x-polychat-internal", stack.secret("internal.credential"))
    error = await _by_grpc(stack.grpc_address("chat"), secret, ("x-user-id", str(people[0].user_id)))
    assert error is not None
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_unknown_path_gives_nothing_away(api: Api) -> None:
    """404 or the Connect error for a method that there is not; no traceback."""
    for path in ("/api/polychat.chat.v1.RoomService/Nope", f"/api/{uuid.uuid4()}", "/api/"):
        response: httpx.Response = await api.http.post(path, json={})
        assert response.status_code in (404, 501)
        assert "Traceback" not in response.text
