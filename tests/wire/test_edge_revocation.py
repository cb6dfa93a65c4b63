"""Tokens of sessions that ended: refused on every way in, although they have not expired."""

from __future__ import annotations

import asyncio

import grpc.aio
import httpx
import pytest
from polychat.chat.v1 import room_service_pb2, room_service_pb2_grpc

from chassis.status import from_rpc_error
from tests.support.edge_client import Here, client, open_here, raw_client, until
from tests.support.edge_grpc import grpc_edge
from tests.support.edge_world import token

CREATE = "/api/polychat.chat.v1.RoomService/CreateRoom"
LOGOUT = "/api/polychat.auth.v1.AuthService/Logout"
CREATE_CALL = {"method": "polychat.chat.v1.RoomService/CreateRoom", "params": {"title": "Team"}}


async def post(here: Here, path: str, access_token: str) -> str:
    """The reason of the answer to one call over HTTP; empty: it went well."""
    headers = {"authorization": f"Bearer {access_token}"}
    async with httpx.AsyncClient(base_url=here.http, trust_env=False) as web:
        reply = await web.post(path, json={}, headers=headers)
    if reply.status_code == 200:
        return ""
    assert reply.status_code == 401
    reason: str = reply.json()["details"][0]["debug"]["reason"]
    return reason


async def by_grpc(channel: grpc.aio.Channel, access_token: str) -> str:
    """The same over the edge's gRPC."""
    stub = room_service_pb2_grpc.RoomServiceStub(channel)
    metadata = (("authorization", f"Bearer {access_token}"),)
    try:
        await stub.CreateRoom(room_service_pb2.CreateRoomRequest(title="Team"), metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason
    return ""


async def refused_hello(here: Here, access_token: str) -> tuple[str, int | None]:
    """The reason and the close code that a hello gets."""
    async with raw_client(here) as ada:
        await ada.send(id=1, hello={"accessToken": access_token})
        frame = await ada.frame()
        assert frame["id"] == 1
        return frame["error"]["reason"], await ada.close_code()


async def refused_soon(here: Here, access_token: str, seconds: float = 5.0) -> None:
    """Returns once a call over HTTP is refused as revoked."""
    async with asyncio.timeout(seconds):
        while await post(here, CREATE, access_token) != "SESSION_REVOKED":
            pass


async def test_a_hint_ends_the_tokens_of_a_session_everywhere(here: Here) -> None:
    """HTTP, gRPC and hello; the user's other session goes on, and the services are not asked."""
    gone, other = token(1, 100), token(1, 200)
    async with grpc_edge(here) as channel:
        assert await post(here, CREATE, gone) == ""
        here.chat.tell(revoked_session_ids=[100])
        await refused_soon(here, gone)
        asked = len(here.world.metadata)
        assert await by_grpc(channel, gone) == "SESSION_REVOKED"
        assert await refused_hello(here, gone) == ("SESSION_REVOKED", 4200)
        assert len(here.world.metadata) == asked
        assert await post(here, CREATE, other) == ""
        assert await by_grpc(channel, other) == ""


async def test_a_token_never_seen_before_of_an_ended_session(here: Here) -> None:
    """A token is refused for its session, not because it was used before."""
    async with client(here, 1, access_token=token(1, 100)) as ada:
        here.chat.tell(revoked_session_ids=[100])
        assert await ada.close_code() == 4200
    assert await post(here, CREATE, token(1, 100, seconds=800)) == "SESSION_REVOKED"


async def test_a_sign_out_through_this_edge_needs_no_hint(here: Here) -> None:
    """Over HTTP, and over a socket, whose reply still comes."""
    assert await post(here, LOGOUT, token(1, 100)) == ""
    assert await post(here, CREATE, token(1, 100)) == "SESSION_REVOKED"
    async with client(here, 2) as ben:
        assert "result" in await ben.ask(call={"method": "polychat.auth.v1.AuthService/Logout"})
        assert (await ben.ask(call=CREATE_CALL))["error"]["reason"] == "SESSION_REVOKED"
        receipt = {"roomId": "7", "readSequence": "1"}
        assert (await ben.ask(receipt=receipt))["error"]["reason"] == "SESSION_REVOKED"
        fresh = token(2, seconds=800)
        assert (await ben.ask(refresh={"accessToken": fresh}))["error"]["reason"] == "SESSION_REVOKED"


async def test_a_sign_out_that_failed_ends_nothing(here: Here) -> None:
    """Nobody is signed out by an answer that did not come."""
    here.world.refuse_logout = True
    assert await post(here, LOGOUT, token(1, 100)) != ""
    assert await post(here, CREATE, token(1, 100)) == ""


async def test_a_lost_hint_is_found_at_the_first_use_of_a_session(here: Here) -> None:
    """In the background: long before the next check of all sessions, 30 s away."""
    here.world.ended_sessions.add(100)
    await refused_soon(here, token(1, 100))
    async with client(here, 1, access_token=token(1, 200)):
        await until(lambda: {200} in here.world.checked)
    assert here.world.checked.count({100}) == 1


async def test_auth_is_not_asked_for_every_call(here: Here) -> None:
    """Once for a session, until the next check of all."""
    for _ in range(5):
        assert await post(here, CREATE, token(1, 100)) == ""
    assert await post(here, CREATE, token(1, 200)) == ""
    await until(lambda: {200} in here.world.checked)
    assert here.world.checked == [{100}, {200}]


async def test_a_lost_hint_is_found_at_the_next_check_of_a_session_in_use() -> None:
    """Without a connection."""
    async with open_here(check_sessions_seconds=0.3) as here:
        assert await post(here, CREATE, token(1, 100)) == ""
        await until(lambda: {100} in here.world.checked)
        here.world.ended_sessions.add(100)
        await refused_soon(here, token(1, 100))


async def test_a_session_that_ends_while_its_hello_is_under_way(here: Here) -> None:
    """Chat verified the token before; the hint comes before its answer."""
    here.chat.hold_opens = True
    async with raw_client(here) as ada:
        await ada.send(id=1, hello={"accessToken": token(1, 100)})
        await until(lambda: any(request.open for request in here.chat.requests))
        here.chat.tell(revoked_session_ids=[100])
        frame = await ada.frame()
        assert (frame["id"], frame["error"]["reason"]) == (1, "SESSION_REVOKED")
        assert await ada.close_code() == 4200


@pytest.mark.parametrize("seconds", [30.0, 0.1])
async def test_sessions_stand_while_auth_is_away(seconds: float) -> None:
    """Nobody is refused for it; what was missed is asked when it is back."""
    async with open_here(check_sessions_seconds=seconds) as here:
        here.world.checks_away = True
        assert await post(here, CREATE, token(1, 100)) == ""
        await until(lambda: {100} in here.world.checked)
        assert await post(here, CREATE, token(1, 100)) == ""
        if seconds < 1:
            here.world.ended_sessions.add(100)
            here.world.checks_away = False
            await refused_soon(here, token(1, 100))
