"""grpcurl sees and calls every service as the README shows: no stubs, only reflection."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest

from tests.support.api import Api, User
from tests.support.methods import METHODS, service_of
from tests.support.stack import Stack

SERVICES = ("auth", "user", "chat", "message", "edge")


async def _run(grpcurl: Path, *arguments: str, status: int = 0) -> str:
    process = await asyncio.create_subprocess_exec(
        *(str(grpcurl), "-plaintext", "-max-time", "20", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == status, output.decode()
    return output.decode()


@pytest.mark.parametrize("service", SERVICES)
async def test_list_names_what_a_process_serves(grpcurl: Path, stack: Stack, service: str) -> None:
    """Its public services, health, channelz and both reflections."""
    listed = set((await _run(grpcurl, stack.grpc_address(service), "list")).split())
    expected = {
        "grpc.health.v1.Health",
        "grpc.channelz.v1.Channelz",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for name, method in METHODS.items():
        if service in (service_of(name), "edge"):
            expected.add(method.containing_service.full_name)
    assert expected <= listed
    assert ("polychat.edge.v1.EdgeService" in listed) == (service == "edge")


@pytest.mark.parametrize("service", SERVICES)
async def test_every_listed_service_can_be_described(grpcurl: Path, stack: Stack, service: str) -> None:
    """With the messages behind it: the descriptors are complete."""
    address = stack.grpc_address(service)
    for name in (await _run(grpcurl, address, "list")).split():
        if name.startswith("polychat."):
            assert "service" in await _run(grpcurl, address, "describe", name)
    method = next((n for n in METHODS if service_of(n) == service), "RoomService/CreateRoom")
    request = METHODS[method].input_type.full_name
    assert "message" in await _run(grpcurl, address, "describe", request)


@pytest.mark.parametrize("service", ["chat", "edge"])
async def test_a_call_with_the_token_in_a_header(
    grpcurl: Path, api: Api, stack: Stack, people: list[User], service: str
) -> None:
    """Straight to the service or through the edge; the answer is canonical JSON."""
    anna = people[0]
    room = await api.create_room(anna)
    answer = json.loads(
        await _run(
            grpcurl,
            *("-H", f"authorization: Bearer {anna.access_token}"),
            *("-d", json.dumps({"roomId": str(room), "requestId": str(uuid.uuid4()), "text": "hi"})),
            stack.grpc_address(service),
            "polychat.chat.v1.MessagingService/SendMessage",
        )
    )
    assert answer["sequence"] == "2"
    assert answer["duplicate"] is False
    stored = (await api.log(anna, room))[-1]["messageCreated"]["message"]
    assert (stored["text"], stored["messageId"]) == ("hi", answer["messageId"])


@pytest.mark.parametrize("service", ["chat", "edge"])
async def test_an_error_shows_its_reason(
    grpcurl: Path, stack: Stack, people: list[User], service: str
) -> None:
    """Code, ErrorInfo and violations, as grpcurl prints details."""
    address = stack.grpc_address(service)
    method = "polychat.chat.v1.RoomService/GetRoom"
    missing = await _run(grpcurl, "-d", '{"roomId":"1"}', address, method, status=80)
    assert "Unauthenticated" in missing
    assert "TOKEN_MISSING" in missing
    token = ("-H", f"authorization: Bearer {people[0].access_token}")
    wrong = await _run(grpcurl, *token, "-d", '{"roomId":"0"}', address, method, status=67)
    assert "InvalidArgument" in wrong
    assert "room_id" in wrong


@pytest.mark.parametrize("service", SERVICES)
async def test_health_and_channelz_answer(grpcurl: Path, stack: Stack, service: str) -> None:
    """SERVING, and the server with the socket it listens on."""
    address = stack.grpc_address(service)
    health = await _run(grpcurl, address, "grpc.health.v1.Health/Check")
    assert json.loads(health) == {"status": "SERVING"}
    servers = json.loads(await _run(grpcurl, address, "grpc.channelz.v1.Channelz/GetServers"))
    assert servers["server"][0]["listenSocket"]
