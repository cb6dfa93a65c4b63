"""HTTP on the same port: the Connect API, health, keys, the page; and the gRPC port beside it."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.rpc import error_details_pb2
from polychat.chat.v1 import room_service_pb2

from chassis.errors import Code, RemoteFailure
from edge.connect import error_body
from tests.support.edge_client import Here, client, open_here, until
from tests.support.edge_world import token

CREATE = "/api/polychat.chat.v1.RoomService/CreateRoom"
LOGIN = "/api/polychat.auth.v1.AuthService/Login"


@pytest.fixture
async def web(here: Here) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=here.http, trust_env=False) as opened:
        yield opened


def bearer(user_id: int = 1) -> dict[str, str]:
    return {"authorization": f"Bearer {token(user_id)}"}


def info(reply: httpx.Response) -> dict[str, Any]:
    """The ErrorInfo of a Connect error, which both its bytes and its debug form say."""
    detail = reply.json()["details"][0]
    assert detail["type"] == "google.rpc.ErrorInfo"
    packed = base64.b64decode(detail["value"] + "=" * (-len(detail["value"]) % 4))
    assert error_details_pb2.ErrorInfo.FromString(packed).reason == detail["debug"]["reason"]
    debug: dict[str, Any] = detail["debug"]
    return debug


# ---- the API --------------------------------------------------------------------------------------


async def test_a_call_in_json(web: httpx.AsyncClient) -> None:
    """Canonical JSON both ways; an int64 past 2⁵³ comes whole."""
    body = {"requestId": str(uuid.uuid4()), "title": "Team", "kind": "ROOM_KIND_GROUP"}
    reply = await web.post(CREATE, json=body, headers=bearer())
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == {
        "room": {"roomId": "9007199254740993", "title": "Team", "kind": "ROOM_KIND_GROUP"}
    }


async def test_a_call_in_binary(web: httpx.AsyncClient) -> None:
    body = room_service_pb2.CreateRoomRequest(title="Team").SerializeToString()
    headers = {**bearer(), "content-type": "application/proto"}
    reply = await web.post(CREATE, content=body, headers=headers)
    assert reply.headers["content-type"] == "application/proto"
    assert room_service_pb2.CreateRoomResponse.FromString(reply.content).room.title == "Team"


async def test_a_call_without_a_token(web: httpx.AsyncClient, here: Here) -> None:
    """Only four methods need none."""
    reply = await web.post(CREATE, json={})
    assert reply.status_code == 401
    assert reply.json()["code"] == "unauthenticated"
    assert info(reply) == {"reason": "TOKEN_MISSING", "domain": "polychat", "metadata": {}}
    assert here.world.metadata == []
    assert (await web.post(LOGIN, json={"username": "ada", "password": "secret123"})).status_code == 200


async def test_a_token_that_is_no_good(web: httpx.AsyncClient) -> None:
    for authorization, reason in (
        ("Bearer garbage", "TOKEN_INVALID"),
        ("Basic YTpi", "TOKEN_INVALID"),
        (f"Bearer {token(1, seconds=-60)}", "TOKEN_EXPIRED"),
    ):
        reply = await web.post(CREATE, json={}, headers={"authorization": authorization})
        assert (reply.status_code, info(reply)["reason"]) == (401, reason)


async def test_identity_headers_from_outside_go_nowhere(web: httpx.AsyncClient, here: Here) -> None:
    """Of what a caller sends only the token travels on."""
    smuggled = {
        "x-user-id": "9",
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-user": "root",
        "x-polychat-internal": "secret",
        "grpc-metadata-x-user-id": "9",
    }
    await web.post(CREATE, json={"title": "Team"}, headers={**bearer(), **smuggled})
    assert not here.world.metadata[-1].keys() & smuggled.keys()
    assert here.world.metadata[-1]["authorization"].startswith("Bearer ")


async def test_auth_is_told_where_the_client_is(web: httpx.AsyncClient, here: Here) -> None:
    """Beside our credential, so that auth may believe it; what the client claims about it is dropped."""
    claimed = {"x-forwarded-for": "10.0.0.1", "x-polychat-client-address": "10.0.0.1"}
    await web.post(LOGIN, json={"username": "anna", "password": "correct horse"}, headers=claimed)
    told = here.world.metadata[-1]
    assert (told["x-polychat-client-address"], told["x-polychat-internal"]) == ("127.0.0.1", "credential")


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/api/polychat.chat.v1.RoomService/PaintRoom", 501, "METHOD_NOT_FOUND"),
        ("/api/polychat.internal.log.v1.LogReadService/ReadEvents", 501, "METHOD_NOT_FOUND"),
        (
            "/api/polychat.internal.directory.v1.SessionDirectoryService/CheckSessions",
            501,
            "METHOD_NOT_FOUND",
        ),
        ("/api//polychat.chat.v1.RoomService/CreateRoom", 501, "METHOD_NOT_FOUND"),
        ("/api/polychat.edge.v1.EdgeService/Session", 403, "METHOD_NOT_ALLOWED"),
        (CREATE + "?access_token=x", 400, "INVALID_FIELD"),
    ],
)
async def test_a_path_that_is_no_method(web: httpx.AsyncClient, path: str, status: int, reason: str) -> None:
    reply = await web.post(path, json={}, headers=bearer())
    assert (reply.status_code, info(reply)["reason"]) == (status, reason)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"title":7}', b'{"kind":"NONE"}', b"\xff", b'{"a":' * 100_000, b'{"title":NaN}']
)
async def test_a_body_that_is_no_request(web: httpx.AsyncClient, body: bytes) -> None:
    headers = {**bearer(), "content-type": "application/json"}
    reply = await web.post(CREATE, content=body, headers=headers)
    assert (reply.status_code, info(reply)["reason"]) == (400, "INVALID_FIELD")


async def test_a_binary_body_that_is_no_request(web: httpx.AsyncClient) -> None:
    headers = {**bearer(), "content-type": "application/proto"}
    reply = await web.post(CREATE, content=b"\x0a\xff", headers=headers)
    assert (reply.status_code, info(reply)["reason"]) == (400, "INVALID_FIELD")


async def test_what_http_itself_refuses(web: httpx.AsyncClient) -> None:
    assert (await web.get(CREATE)).status_code == 405
    assert (await web.post("/livez")).status_code == 405
    assert (await web.post(CREATE, content=b"x", headers={"content-type": "text/plain"})).status_code == 415
    compressed = {"content-type": "application/json", "content-encoding": "gzip"}
    assert (await web.post(CREATE, content=b"x", headers=compressed)).status_code == 415
    too_much = b"x" * (1024 * 1024 + 1)
    headers = {"content-type": "application/json"}
    assert (await web.post(CREATE, content=too_much, headers=headers)).status_code == 413
    assert (await web.get("/nothing.js")).status_code == 404


async def test_the_callers_deadline_is_kept(web: httpx.AsyncClient, here: Here) -> None:
    here.world.create_gate.clear()
    reply = await web.post(CREATE, json={"title": "x"}, headers={**bearer(), "connect-timeout-ms": "50"})
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")
    here.world.create_gate.set()
    reply = await web.post(CREATE, json={}, headers={**bearer(), "connect-timeout-ms": "soon"})
    assert reply.status_code == 400


async def test_requests_one_after_another_and_pipelined(here: Here) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.edge.http_port)
    writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
    for _ in range(3):
        assert b"200" in await reader.readline()
        await reader.readuntil(b"ok\n")
    writer.write(b"nonsense\r\n\r\n")
    assert b"400" in await reader.readline()
    writer.close()


async def test_a_head_that_is_too_large(here: Here) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.edge.http_port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\ncookie: " + b"x" * 40_000)
    assert b"431" in await reader.readline()
    writer.close()


async def test_a_get_of_ws_without_upgrade(web: httpx.AsyncClient) -> None:
    assert (await web.get("/ws")).status_code == 426


# ---- health, keys, page ---------------------------------------------------------------------------


async def test_health(web: httpx.AsyncClient, here: Here) -> None:
    """Alive is alive; ready needs the link."""
    assert (await web.get("/livez")).text == "ok\n"
    assert (await web.get("/readyz")).json() == {"ready": True, "problems": {}}
    here.instances.present = []
    here.chat.break_off()
    await until(lambda: here.edge.link.attached_to is None)
    reply = await web.get("/readyz")
    assert reply.status_code == 503
    assert list(reply.json()["problems"]) == ["link"]


async def test_metrics(web: httpx.AsyncClient, here: Here) -> None:
    async with client(here, 1):
        text = (await web.get("/metrics")).text
        assert 'polychat_edge_connections{wire="json"} 1.0' in text
        assert "polychat_edge_link_attached 1.0" in text


async def test_the_signing_keys(web: httpx.AsyncClient) -> None:
    keys = (await web.get("/.well-known/jwks.json")).json()["keys"]
    assert [key["alg"] for key in keys] == ["ES256"]


async def test_the_page_and_its_headers(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Polychat</title>")
    (tmp_path / "assets" / "app-1234.js").write_text("console.info(1)")
    (tmp_path.parent / "secret.txt").write_text("secret")
    async with open_here(web_root=tmp_path) as here, httpx.AsyncClient(base_url=here.http) as web:
        page = await web.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        assert page.headers["x-content-type-options"] == "nosniff"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert f"connect-src 'self' ws://127.0.0.1:{here.edge.http_port}" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert (await web.get("/rooms/7")).text == page.text
        script = await web.get("/assets/app-1234.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "immutable" in script.headers["cache-control"]
        again = await web.get("/assets/app-1234.js", headers={"if-none-match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await web.head("/")).content == b""
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/assets//app.js"):
            assert "secret" not in (await web.get(path)).text


async def test_a_page_that_is_not_built(web: httpx.AsyncClient) -> None:
    reply = await web.get("/")
    assert reply.status_code == 200
    assert "not built" in reply.text


async def test_errors_of_services_travel_unchanged() -> None:
    """Code, reason, metadata and the time to wait are those of the service."""
    failure = RemoteFailure(
        Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", "slow down", retry_after=1.5, metadata={"roomId": "7"}
    )
    body = json.loads(error_body(failure))
    assert body["code"] == "resource_exhausted"
    assert [detail["type"] for detail in body["details"]] == ["google.rpc.ErrorInfo", "google.rpc.RetryInfo"]
    assert body["details"][0]["debug"]["metadata"] == {"roomId": "7"}
    assert body["details"][1]["debug"] == {"retryDelay": "1.500s"}


async def test_a_client_that_waits_to_be_told_to_go_on(here: Here) -> None:
    """RFC 9110 section 10.1.1: the body comes only after 100."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.edge.http_port)
    head = f"POST {LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}expect: 100-continue\r\ncontent-length: 2\r\n\r\n".encode())
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"{}")
        assert b" 200 " in await reader.readline()
    writer.close()


async def test_a_file_that_has_not_changed_says_no_length(tmp_path: Path) -> None:
    """RFC 9110 section 8.6: a 304 has the length that a 200 would have, or none."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Polychat</title>")
    async with open_here(web_root=tmp_path) as here, httpx.AsyncClient(base_url=here.http) as web:
        page = await web.get("/")
        again = await web.get("/", headers={"if-none-match": page.headers["etag"]})
        assert again.status_code == 304
        assert "content-length" not in again.headers
        assert again.headers["etag"] == page.headers["etag"]
