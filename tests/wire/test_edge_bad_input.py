"""Everything a client can do wrong: a clear error with its reason, and nothing else changes."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.support.edge_client import SECONDS, Client, Here, client, open_here, raw_client, until
from tests.support.edge_world import token

REQUEST_ID = "0198c0de-7a11-7000-8000-000000000001"


def hello(user_id: int = 1, access_token: str = "") -> str:
    return json.dumps({"id": 1, "hello": {"accessToken": access_token or token(user_id)}})


async def refused(connected: Client, data: str | bytes) -> tuple[dict[str, Any], int | None]:
    """Sends one message; the error and the close code that follow."""
    await connected.socket.send(data)
    frame = await connected.frame()
    return frame, await connected.close_code()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{", "FRAME_INVALID"),
        ("[]", "FRAME_INVALID"),
        ("7", "FRAME_INVALID"),
        ("", "FRAME_INVALID"),
        ('{"id":5,"dance":{}}', "FRAME_INVALID"),
        ('{"id":5}', "FRAME_INVALID"),
        ('{"id":-1,"ping":{}}', "FRAME_INVALID"),
        ('{"id":4294967296,"ping":{}}', "FRAME_INVALID"),
        ('{"id":5,"ping":{},"pong":{}}', "FRAME_INVALID"),
        ('{"id":5,"call":{"params":' + '{"a":' * 60 + "1" + "}" * 62, "FRAME_INVALID"),
        ("[" * 60_000, "FRAME_INVALID"),
        (b"\x08\x01", "FRAME_INVALID"),
        ('{"id":5,"typing":{"roomId":"' + "7" * 65_536 + '"}}', "FRAME_TOO_LARGE"),
    ],
)
async def test_a_bad_frame_closes_with_4201_after_an_error(
    here: Here, data: str | bytes, reason: str
) -> None:
    """Not JSON, no known body, too deep, too large, binary: whoever sends this speaks another protocol."""
    async with client(here, 1) as ada:
        frame, code = await refused(ada, data)
        assert frame["error"]["code"] == "INVALID_ARGUMENT"
        assert frame["error"]["reason"] == reason
        assert code == 4201
        assert not [event for event in ada.events if "ping" not in event]


async def test_a_bad_frame_is_answered_with_its_id(here: Here) -> None:
    async with client(here, 1) as ada:
        frame, _ = await refused(ada, '{"id":5,"dance":{}}')
        assert frame["id"] == 5


async def test_not_utf8_fails_the_websocket(here: Here) -> None:
    """RFC 6455 section 8.1: the library's 1007."""
    async with client(here, 1) as ada:
        await ada.socket.send(b'{"id":1,"ping":"\xff"}', text=True)
        assert await ada.close_code() == 1007


async def test_text_on_the_binary_protocol(here: Here) -> None:
    async with raw_client(here, subprotocols=["polychat.v1.proto"]) as ada:
        await ada.socket.send("{}")
        await ada.socket.recv()
        with pytest.raises(Exception, match="4201"):
            await ada.socket.recv()


async def test_too_many_fragments(here: Here) -> None:
    async with client(here, 1) as ada:
        await ada.socket.send(f'{{"id":{number},' for number in range(40))
        assert await ada.close_code() == 4201


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"send": {"roomId": "seven", "requestId": REQUEST_ID, "text": "hi"}}, "roomId"),
        ({"send": {"roomId": "7", "requestId": "not-a-uuid", "text": "hi"}}, "request_id"),
        ({"send": {"roomId": "7", "requestId": REQUEST_ID, "text": ""}}, "text"),
        ({"send": {"roomId": "7", "requestId": REQUEST_ID, "text": "x" * 16_385}}, "text"),
        ({"send": {"roomId": "7", "requestId": REQUEST_ID, "text": "ä" * 8_193}}, "text"),
        ({"send": {"roomId": "0", "requestId": REQUEST_ID, "text": "hi"}}, "room_id"),
        ({"send": {"roomId": "7", "requestId": REQUEST_ID}}, "text"),
        ({"send": {"roomId": "7", "requestId": REQUEST_ID, "text": "\ud800"}}, "text"),
        ({"receipt": {"roomId": "7", "readSequence": "-1"}}, "read_sequence"),
        ({"refresh": {}}, "access_token"),
        ({"call": {"method": 5}}, "method"),
        ({"call": {"method": "polychat.chat.v1.RoomService/CreateRoom", "params": {"kind": "NONE"}}}, "kind"),
        ({"call": {"method": "polychat.chat.v1.RoomService/CreateRoom", "params": []}}, ""),
    ],
)
async def test_a_wrong_field_gets_an_error_and_the_connection_lives(
    here: Here, body: dict[str, Any], says: str
) -> None:
    """Well formed and wrong: INVALID_FIELD that names the field, and nothing reaches chat."""
    async with client(here, 1) as ada:
        error = (await ada.ask(**body))["error"]
        assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert error["retryable"] is False
        assert says in error["message"]
        assert "pong" in await ada.ask(ping={})
        assert not here.chat.sends


async def test_a_text_of_16_kib_is_taken(here: Here) -> None:
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        for text in ("x" * 16_384, "ä" * 8_192):
            reply = await ada.ask(send={"roomId": "7", "requestId": str(uuid.uuid4()), "text": text})
            assert "sent" in reply


async def test_another_frame_before_hello(here: Here) -> None:
    async with raw_client(here) as nobody:
        frame, code = await refused(
            nobody, json.dumps({"id": 3, "send": {"roomId": "7", "requestId": REQUEST_ID, "text": "hi"}})
        )
        assert (frame["id"], frame["error"]["reason"], code) == (3, "HELLO_REQUIRED", 4200)
        assert not here.chat.sends


async def test_hello_twice_is_refused_and_the_connection_lives(here: Here) -> None:
    async with client(here, 1) as ada:
        error = (await ada.ask(hello={"accessToken": token(1)}))["error"]
        assert (error["code"], error["reason"]) == ("FAILED_PRECONDITION", "HELLO_REPEATED")
        assert "pong" in await ada.ask(ping={})


async def test_no_hello_in_time() -> None:
    async with open_here(hello_seconds=0.1) as here, raw_client(here) as nobody:
        assert (await nobody.frame())["error"]["reason"] == "HELLO_TOO_LATE"
        assert await nobody.close_code() == 4207


async def test_half_a_hello_does_not_buy_time() -> None:
    """Bytes that trickle do not move the deadline."""
    async with open_here(hello_seconds=0.2) as here, raw_client(here) as nobody:
        here_before = asyncio.get_running_loop().time()
        sending = asyncio.create_task(nobody.socket.send(_trickle()))
        assert await nobody.close_code() == 4207
        assert asyncio.get_running_loop().time() - here_before < SECONDS
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _trickle() -> Any:
    for piece in '{"id":1,"hel':
        yield piece
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("method", "code", "reason"),
    [
        ("polychat.chat.v1.RoomService/PaintRoom", "UNIMPLEMENTED", "METHOD_NOT_FOUND"),
        ("polychat.internal.log.v1.LogReadService/ReadEvents", "UNIMPLEMENTED", "METHOD_NOT_FOUND"),
        ("/polychat.chat.v1.RoomService/CreateRoom", "UNIMPLEMENTED", "METHOD_NOT_FOUND"),
        ("polychat.chat.v1.roomservice/createroom", "UNIMPLEMENTED", "METHOD_NOT_FOUND"),
        ("polychat.edge.v1.EdgeService/Session", "PERMISSION_DENIED", "METHOD_NOT_ALLOWED"),
    ],
)
async def test_a_method_that_cannot_be_called(here: Here, method: str, code: str, reason: str) -> None:
    """Only the listed methods, letter by letter."""
    async with client(here, 1) as ada:
        error = (await ada.ask(call={"method": method, "params": {}}))["error"]
        assert (error["code"], error["reason"], error["metadata"]) == (code, reason, {"method": method})


async def test_presence_says_that_it_is_not_there_yet(here: Here) -> None:
    async with client(here, 1) as ada:
        assert (await ada.ask(watchPresence={"userIds": ["2"]}))["error"]["reason"] == "UNIMPLEMENTED"


async def test_what_chat_refuses_is_told_with_all_it_says(here: Here) -> None:
    """A room the caller is not in."""
    from polychat.internal.link.v1 import link_service_pb2 as link

    here.chat.refuse_sends = link.Failure(
        code="RESOURCE_EXHAUSTED",
        reason="RATE_LIMITED",
        message="slow down",
        retryable=True,
        retry_after_millis=1500,
        metadata={"roomId": "7"},
    )
    async with client(here, 1) as ada:
        error = (await ada.ask(send={"roomId": "7", "requestId": REQUEST_ID, "text": "hi"}))["error"]
        assert error == {
            "code": "RESOURCE_EXHAUSTED",
            "reason": "RATE_LIMITED",
            "message": "slow down",
            "retryable": True,
            "retryAfter": "1.500s",
            "metadata": {"roomId": "7"},
        }
    here.chat.refuse_sends = None


async def test_typing_in_a_foreign_room_goes_nowhere(here: Here) -> None:
    async with client(here, 1) as ada:
        await ada.send(typing={"roomId": "999"})
        assert "pong" in await ada.ask(ping={})
        assert not any(request.signals for request in here.chat.requests)


async def test_a_thousand_bad_peers_leave_nothing_behind(here: Here) -> None:
    """Connections that end in every way are forgotten."""
    for _ in range(20):
        async with raw_client(here) as nobody:
            await nobody.socket.send("{")
            await nobody.close_code()
    await until(lambda: not here.edge.sessions.peers)
    assert not here.edge.fanout.users
