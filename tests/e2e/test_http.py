"""The edge's HTTP beside the API's JSON: health, keys, metrics, the page, binary calls."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest, SendMessageResponse

from tests.support.api import Api, User
from tests.support.stack import Stack


async def test_health_is_told(api: Api) -> None:
    """Alive and ready, for a load balancer."""
    for path in ("/livez", "/readyz"):
        assert (await api.http.get(path)).status_code == 200


async def test_metrics_are_prometheus_text(api: Api) -> None:
    """With names of ours and nobody's id in a label."""
    response = await api.http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "polychat_edge_" in response.text
    assert "user_id=" not in response.text
    assert "room_id=" not in response.text


async def test_the_public_keys_are_public_only(api: Api) -> None:
    """What GetJwks says, and no private part of any key."""
    served = (await api.http.get("/.well-known/jwks.json")).json()
    assert served == await api.call("AuthService/GetJwks")
    assert served["keys"]
    for key in served["keys"]:
        assert (key["kty"], key["alg"], key["use"]) == ("EC", "ES256", "sig")
        assert "d" not in key


async def test_the_page_is_served_with_its_headers(api: Api) -> None:
    """HTML at the root; nothing may frame it, nothing is guessed about its type."""
    response = await api.http.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" in response.headers


async def test_a_file_that_is_not_there_is_not_found(api: Api) -> None:
    """404, and not the page under a script's name."""
    assert (await api.http.get("/nowhere.js")).status_code == 404


@pytest.mark.parametrize(
    "target", [b"/../../../etc/passwd", b"/%2e%2e/%2e%2e/%2e%2e/etc/passwd", b"//etc/passwd"]
)
async def test_no_file_outside_the_page_is_served(stack: Stack, target: bytes) -> None:
    """Whatever the path says; sent as it is, because clients would tidy it up."""
    port = int(stack.http_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 ")
    assert b"root:" not in answer


async def test_a_call_in_binary(api: Api, people: list[User]) -> None:
    """`application/proto` in and out, the same call as in JSON."""
    anna = people[0]
    room = await api.create_room(anna)
    request = SendMessageRequest(room_id=room, request_id=str(uuid.uuid4()), text="binary")
    response = await api.http.post(
        "/api/polychat.chat.v1.MessagingService/SendMessage",
        content=request.SerializeToString(),
        headers={"authorization": f"Bearer {anna.access_token}", "content-type": "application/proto"},
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/proto"
    sent = SendMessageResponse.FromString(response.content)
    assert (sent.room_id, sent.sequence, sent.duplicate) == (room, 2, False)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_method_is_called_by_post_only(api: Api, method: str) -> None:
    """405, and `allow` says so."""
    response = await api.http.request(method, "/api/polychat.chat.v1.RoomService/ListRooms")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
