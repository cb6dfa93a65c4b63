"""Frames that are wrong: each gets its error and its close code, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from tests.support.api import Api, User
from tests.support.peer import Connect, OpenTransport, Peer, Refused
from tests.support.transports import BinarySocket, Closed, Frame, JsonSocket, SessionStream

FRAME_BYTES = 65_536
HELLO_SECONDS = 5.0
BURST = 40
"""Frames that a connection may send at once; `hello` is the first."""
BAD_FRAME, UNAUTHENTICATED, HELLO_TOO_LATE = 4201, 4200, 4207

Write = Callable[[ClientConnection], Awaitable[Any]]


async def _fragments(socket: ClientConnection) -> None:
    """More pieces than any honest client makes of one message."""
    await socket.send((" " for _ in range(2_000)), text=True)


def _text(data: str | bytes) -> Write:
    async def write(socket: ClientConnection) -> None:
        await socket.send(data, text=True)

    return write


def _binary(data: bytes) -> Write:
    async def write(socket: ClientConnection) -> None:
        await socket.send(data, text=False)

    return write


DEEP = '{"id":7,"call":{"method":"m","params":' + '{"a":' * 101 + "1" + "}" * 101 + "}}"
BIG = json.dumps({"id": 7, "typing": {"roomId": "1", "padding": "x" * FRAME_BYTES}})

BAD_TEXT: dict[str, tuple[Write, set[int], set[str]]] = {
    "too big": (_text(BIG), {BAD_FRAME, 1009}, {"FRAME_TOO_LARGE"}),
    "one byte too big": (_text(" " * (FRAME_BYTES - 1) + "{}"), {BAD_FRAME, 1009}, {"FRAME_TOO_LARGE"}),
    "not JSON": (_text("{"), {BAD_FRAME}, {"FRAME_INVALID"}),
    "empty": (_text(""), {BAD_FRAME}, {"FRAME_INVALID"}),
    "no object": (_text("[1]"), {BAD_FRAME}, {"FRAME_INVALID"}),
    "a number that is none": (
        _text('{"id":7,"receipt":{"roomId":NaN,"readSequence":"1"}}'),
        {BAD_FRAME},
        {"FRAME_INVALID"},
    ),
    "deep": (_text(DEEP), {BAD_FRAME}, {"FRAME_INVALID"}),
    "very deep": (_text("[" * 60_000), {BAD_FRAME}, {"FRAME_INVALID"}),
    "not UTF-8": (_text(b'{"ping":{"\xff":1}}'), {BAD_FRAME, 1007}, {"FRAME_INVALID"}),
    "binary on the JSON protocol": (_binary(b'{"ping":{}}'), {BAD_FRAME, 1003}, {"FRAME_INVALID"}),
    "unknown body": (_text('{"id":7,"explode":{}}'), {BAD_FRAME}, {"FRAME_INVALID"}),
    "no body": (_text('{"id":7}'), {BAD_FRAME}, {"FRAME_INVALID"}),
    "two bodies": (_text('{"id":7,"ping":{},"pong":{}}'), {BAD_FRAME}, {"FRAME_INVALID"}),
    "an id that is none": (_text('{"id":-1,"ping":{}}'), {BAD_FRAME}, {"FRAME_INVALID"}),
    "many fragments": (_fragments, {BAD_FRAME, 1009}, {"FRAME_INVALID", "FRAME_TOO_LARGE"}),
}


async def _ends(peer: Peer, codes: set[int], reasons: set[str]) -> None:
    """Closed with one of the codes; 42xx after an `error` that says why, WebSocket's own codes without."""
    closed = await peer.closed()
    assert closed.code in codes, closed
    if closed.code >= 4000:
        errors = [frame["error"] for frame in peer.frames if "error" in frame]
        assert len(errors) == 1
        assert errors[0]["reason"] in reasons
        assert errors[0]["retryable"] is False


@pytest.mark.parametrize("name", BAD_TEXT)
async def test_an_unreadable_json_frame_closes(
    api: Api, people: list[User], connect: Connect, name: str
) -> None:
    """An error with its reason, then 4201; what RFC 6455 forbids by itself may have its own code."""
    write, codes, reasons = BAD_TEXT[name]
    room = await api.create_room(people[0])
    peer = await connect(people[0])
    assert isinstance(peer.transport, JsonSocket)
    await write(peer.transport.socket)
    await _ends(peer, codes, reasons)
    assert await api.head(people[0], room) == 1


@pytest.mark.parametrize(
    ("write", "codes"),
    [
        (_binary(b"\xff\xff\xff"), {BAD_FRAME}),
        (_binary(b"\x08\x07"), {BAD_FRAME}),
        (_binary(b"\x08\x07" + b"\xa2\x06\x00"), {BAD_FRAME}),
        (_binary(b"\x00" * (FRAME_BYTES + 1)), {BAD_FRAME, 1009}),
        (_text("{}"), {BAD_FRAME, 1003}),
    ],
    ids=["no message", "no body", "unknown body", "too big", "text on the binary protocol"],
)
async def test_an_unreadable_binary_frame_closes(
    people: list[User], connect: Connect, write: Write, codes: set[int]
) -> None:
    """As on JSON."""
    peer = await connect(people[0], "binary")
    assert isinstance(peer.transport, BinarySocket)
    await write(peer.transport.socket)
    await _ends(peer, codes, {"FRAME_INVALID", "FRAME_TOO_LARGE"})


async def test_a_session_stream_ends_where_a_socket_closes(people: list[User], connect: Connect) -> None:
    """INVALID_ARGUMENT for a frame without a body."""
    peer = await connect(people[0], "session")
    assert isinstance(peer.transport, SessionStream)
    await peer.transport.send({"id": 7})
    assert "INVALID_ARGUMENT" in str(await peer.closed())


async def test_the_largest_frame_is_read(people: list[User], connect: Connect) -> None:
    """The limit itself is no error: the connection lives."""
    peer = await connect(people[0])
    assert isinstance(peer.transport, JsonSocket)
    frame = '{"id":77,"receipt":{"roomId":"0","readSequence":"0"}}'
    await peer.transport.socket.send(frame + " " * (FRAME_BYTES - len(frame)))
    answer = await peer.until(lambda f: f.get("id") == 77)
    assert answer["error"]["reason"] == "INVALID_FIELD"
    await peer.call("RoomService/ListRooms", {})


@pytest.mark.parametrize("wire", ["json", "binary", "session"])
async def test_nothing_comes_before_hello(open_transport: OpenTransport, wire: str) -> None:
    """HELLO_REQUIRED and 4200."""
    peer = Peer(await open_transport(wire))
    with pytest.raises((Refused, Closed)) as refused:
        await peer.ask({"receipt": {"roomId": "1", "readSequence": "1"}})
    assert "HELLO_REQUIRED" in str(refused.value) + str(peer.frames)
    closed = await peer.closed()
    assert closed.code == UNAUTHENTICATED or "UNAUTHENTICATED" in str(closed)
    await peer.end()


@pytest.mark.parametrize("wire", ["json", "session"])
async def test_hello_has_to_come_in_time(open_transport: OpenTransport, wire: str) -> None:
    """Nothing said for 5 s: 4207, and not before."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    peer = Peer(await open_transport(wire))
    closed = await peer.closed(4 * HELLO_SECONDS)
    assert closed.code == HELLO_TOO_LATE or "DEADLINE_EXCEEDED" in str(closed)
    assert loop.time() - began > HELLO_SECONDS - 1
    await peer.end()


async def test_a_second_hello_is_refused_and_the_connection_lives(
    api: Api, people: list[User], connect: Connect
) -> None:
    """HELLO_REPEATED; who it belongs to does not change."""
    anna, bert, *_ = people
    peer = await connect(anna)
    with pytest.raises(Refused) as refused:
        await peer.hello(bert.access_token)
    assert refused.value.reason == "HELLO_REPEATED"
    room = await api.create_room(anna)
    sent = await peer.send(room, "still anna")
    assert (await peer.event(room, int(sent["sequence"])))["actorUserId"] == str(anna.user_id)


@pytest.mark.parametrize("wire", ["json", "binary", "session"])
async def test_a_wrong_request_gets_an_error_and_the_connection_lives(
    api: Api, people: list[User], connect: Connect, wire: str
) -> None:
    """Each refused with its reason; the room does not move, the next send is answered."""
    anna = people[0]
    room = await api.create_room(anna)
    peer = await connect(anna, wire)
    good = {"roomId": str(room), "requestId": str(uuid.uuid4()), "text": "x"}
    wrong: list[tuple[Frame, str]] = [
        ({"send": good | {"requestId": "not-a-uuid"}}, "INVALID_FIELD"),
        ({"send": good | {"requestId": ""}}, "INVALID_FIELD"),
        ({"send": good | {"text": ""}}, "INVALID_FIELD"),
        ({"send": good | {"text": "x" * 16_385}}, "INVALID_FIELD"),
        ({"send": good | {"text": "é" * 8_193}}, "INVALID_FIELD"),
        ({"send": good | {"roomId": "0"}}, "INVALID_FIELD"),
        ({"send": good | {"roomId": "-4"}}, "INVALID_FIELD"),
        ({"send": good | {"roomId": "4711"}}, "NOT_A_MEMBER"),
        ({"send": good | {"mentionedUserIds": ["1"] * 101}}, "INVALID_FIELD"),
        ({"call": {"method": "polychat.chat.v1.RoomService/Explode", "params": {}}}, "METHOD_NOT_FOUND"),
        (
            {"call": {"method": "polychat.internal.log.v1.LogReadService/ReadEvents", "params": {}}},
            "METHOD_NOT_FOUND",
        ),
        ({"call": {"method": "RoomService/GetRoom", "params": {"roomId": "0"}}}, "INVALID_FIELD"),
        ({"refresh": {"accessToken": "x.y.z"}}, "TOKEN_INVALID"),
    ]
    for body, reason in wrong:
        with pytest.raises(Refused) as refused:
            await peer.ask(body)
        assert refused.value.reason == reason, body
        assert not refused.value.retryable
    assert await api.head(anna, room) == 1
    assert (await peer.send(room, "x" * 16_384))["sequence"] == "2"


async def test_more_than_the_limit_in_flight_waits_and_is_answered(
    api: Api, people: list[User], connect: Connect
) -> None:
    """The edge stops reading at 32 and goes on: every request gets exactly one answer."""
    room = await api.create_room(people[0])
    peer = await connect(people[0], "binary")
    answers = await asyncio.gather(*(peer.send(room, f"{n}") for n in range(BURST - 1)))
    assert sorted(int(answer["sequence"]) for answer in answers) == list(range(2, BURST + 1))


async def test_more_than_a_burst_is_limited_and_the_connection_lives(
    api: Api, people: list[User], connect: Connect
) -> None:
    """RATE_LIMITED with a time to wait, no `sent` for what was refused; afterwards all goes on."""
    room = await api.create_room(people[0])
    peer = await connect(people[0])
    sends = (peer.send(room, f"{n}") for n in range(2 * BURST))
    results = await asyncio.gather(*sends, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Refused)]
    sent = [int(result["sequence"]) for result in results if isinstance(result, dict)]
    assert {(error.code, error.reason) for error in refused} == {("RESOURCE_EXHAUSTED", "RATE_LIMITED")}
    assert all(error.retryable and error.retry_after > 0 for error in refused)
    assert len(refused) + len(sent) == 2 * BURST
    assert sorted(sent) == list(range(2, len(sent) + 2))
    assert await api.head(people[0], room) == len(sent) + 1
