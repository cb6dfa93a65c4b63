"""Registration, sign-in, refresh and sign-out, and what they do to connections that are open."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest
from polychat.chat.v1.room_service_pb2 import ListRoomsRequest
from polychat.chat.v1.room_service_pb2_grpc import RoomServiceStub

from chassis.status import from_rpc_error
from tests.support.api import PASSWORD, Api, ApiError, User
from tests.support.forging import Forger, ago
from tests.support.peer import Connect, Refused
from tests.support.stack import Stack

REVOKED_SECONDS = 5.0
"""A revoked session's connections are closed in this time (docs/reliability.md, REVOKE)."""


async def _refused(api: Api, method: str, params: dict[str, str], user: User | None = None) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await api.call(method, params, user)
    return refused.value


async def test_a_username_is_taken_once(api: Api) -> None:
    """USERNAME_TAKEN, also in other letters; the first one is untouched."""
    anna = await api.register("anna")
    for name in (anna.username, anna.username.upper()):
        error = await _refused(
            api, "AuthService/Register", {"username": name, "password": "another password"}
        )
        assert (error.status, error.code, error.reason) == (409, "already_exists", "USERNAME_TAKEN")
    assert (await api.login(anna)).user_id == anna.user_id


async def test_the_same_name_registered_at_once_makes_one_user(api: Api) -> None:
    """One wins; the others are told, and the winner's password is the one that counts."""
    name = (await api.register("race")).username + "-x"
    results = await asyncio.gather(
        *(
            api.call("AuthService/Register", {"username": name, "password": f"password {n}"})
            for n in range(4)
        ),
        return_exceptions=True,
    )
    winners = [n for n, result in enumerate(results) if isinstance(result, dict)]
    reasons = {result.reason for result in results if isinstance(result, ApiError)}
    assert len(winners) == 1
    assert reasons == {"USERNAME_TAKEN"}
    await api.call("AuthService/Login", {"username": name, "password": f"password {winners[0]}"})


async def test_a_new_user_is_in_the_directory(api: Api) -> None:
    """Auth and user agree: the profile can be read and found."""
    anna = await api.register("anna")
    got = await api.call("UserService/GetUser", {"userId": str(anna.user_id)}, anna)
    assert got["user"]["username"] == anna.username
    found = await api.call("UserService/SearchUsers", {"query": anna.username[:-2]}, anna)
    assert str(anna.user_id) in {user["userId"] for user in found["users"]}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"username": "ab", "password": PASSWORD}, "username"),
        ({"username": "no spaces here", "password": PASSWORD}, "username"),
        ({"username": "shortpass", "password": "1234567"}, "password"),
        ({"username": "badmail", "password": PASSWORD, "email": "nowhere"}, "email"),
    ],
)
async def test_a_registration_of_a_wrong_shape_says_where(
    api: Api, params: dict[str, str], field: str
) -> None:
    """INVALID_FIELD with a violation of that field, and nobody is made."""
    error = await _refused(api, "AuthService/Register", params)
    assert (error.status, error.code, error.reason) == (400, "invalid_argument", "INVALID_FIELD")
    violations = next(d["debug"] for d in error.body["details"] if d["type"] == "google.rpc.BadRequest")
    assert {v["field"] for v in violations["fieldViolations"]} == {field}
    login = await _refused(api, "AuthService/Login", {"username": params["username"], "password": PASSWORD})
    assert login.reason == "INVALID_CREDENTIALS"


async def test_unknown_user_and_wrong_password_are_answered_alike(api: Api) -> None:
    """The same body: nobody learns who exists."""
    anna = await api.register("anna")
    wrong = await _refused(
        api, "AuthService/Login", {"username": anna.username, "password": "not the password"}
    )
    unknown = await _refused(
        api, "AuthService/Login", {"username": anna.username + "x", "password": "not the password"}
    )
    assert wrong.status == 401
    assert wrong.reason == "INVALID_CREDENTIALS"
    assert wrong.body == unknown.body


async def test_refresh_gives_a_new_pair_that_works(api: Api, connect: Connect) -> None:
    """And puts it into an open connection by `refresh`."""
    anna = await api.register("anna")
    peer = await connect(anna)
    old = anna.access_token, anna.refresh_token
    await api.refresh(anna)
    assert anna.access_token != old[0]
    assert anna.refresh_token != old[1]
    assert "ok" in await peer.ask({"refresh": {"accessToken": anna.access_token}})
    await peer.call("RoomService/ListRooms", {})


async def test_the_token_of_another_user_does_not_refresh_a_connection(api: Api, connect: Connect) -> None:
    """TOKEN_INVALID; the connection stays whose it was."""
    anna, bert = await api.register("anna"), await api.register("bert")
    peer = await connect(anna)
    with pytest.raises(Refused) as refused:
        await peer.ask({"refresh": {"accessToken": bert.access_token}})
    assert refused.value.reason == "TOKEN_INVALID"
    me = await peer.call("UserService/UpdateUser", {"displayName": "Still Anna"})
    assert me["user"]["userId"] == str(anna.user_id)


async def test_a_lost_answer_to_a_refresh_may_be_asked_again(api: Api) -> None:
    """The immediate predecessor within 10 s gets the same new pair: two tabs, or a cut connection."""
    anna = await api.register("anna")
    spent = {"refreshToken": anna.refresh_token}
    first = await api.call("AuthService/RefreshSession", spent)
    second = await api.call("AuthService/RefreshSession", spent)
    assert second["refreshToken"] == first["refreshToken"]
    anna.take(second)
    await api.refresh(anna)


async def test_reuse_of_a_refresh_token_ends_the_session_and_its_connections(
    api: Api, connect: Connect
) -> None:
    """One generation further back is theft: REUSED, then nothing of the session is good any more."""
    anna = await api.register("anna")
    other = await api.login(anna)
    here, there = await connect(anna), await connect(other)
    stolen = anna.refresh_token
    await api.refresh(anna)
    await api.refresh(anna)
    error = await _refused(api, "AuthService/RefreshSession", {"refreshToken": stolen})
    assert (error.status, error.reason) == (401, "REFRESH_TOKEN_REUSED")
    closed = await here.closed(REVOKED_SECONDS)
    assert closed.code == 4200
    error = await _refused(api, "AuthService/RefreshSession", {"refreshToken": anna.refresh_token})
    assert error.status == 401
    assert there.lost is None
    await there.call("RoomService/ListRooms", {})


async def test_an_invented_refresh_token_is_refused(api: Api) -> None:
    """REFRESH_TOKEN_INVALID, and nobody's session suffers."""
    error = await _refused(api, "AuthService/RefreshSession", {"refreshToken": "not-a-token"})
    assert (error.status, error.reason) == (401, "REFRESH_TOKEN_INVALID")


@pytest.mark.parametrize("wire", ["json", "binary", "session"])
async def test_logout_closes_the_connections_of_the_session(api: Api, connect: Connect, wire: str) -> None:
    """Within 5 s, those of other sessions not; the refresh token is gone too."""
    anna = await api.register("anna")
    other = await api.login(anna)
    here, there = await connect(anna, wire), await connect(other, wire)
    await api.call("AuthService/Logout", {}, anna)
    closed = await here.closed(REVOKED_SECONDS)
    assert closed.code == 4200 or "UNAUTHENTICATED" in str(closed)
    error = await _refused(api, "AuthService/RefreshSession", {"refreshToken": anna.refresh_token})
    assert error.status == 401
    await there.call("RoomService/ListRooms", {})


async def _by_http(api: Api, user: User) -> str:
    try:
        await api.call("RoomService/ListRooms", {}, user)
    except ApiError as error:
        return error.reason
    return ""


async def _by_grpc(stack: Stack, user: User) -> str:
    metadata = (("authorization", f"Bearer {user.access_token}"),)
    async with grpc.aio.insecure_channel(stack.grpc_address("edge")) as channel:
        try:
            await RoomServiceStub(channel).ListRooms(ListRoomsRequest(), metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error).reason
    return ""


async def test_a_signed_out_token_calls_nothing(api: Api, stack: Stack) -> None:
    """Although it has not expired: SESSION_REVOKED on every edge and wire; other sessions go on."""
    anna = await api.register("anna")
    other = await api.login(anna)
    assert await _by_http(api, anna) == await _by_grpc(stack, anna) == ""
    await api.call("AuthService/Logout", {}, anna)
    refused = 0
    async with asyncio.timeout(REVOKED_SECONDS):
        while refused < 5:
            reasons = {await _by_http(api, anna), await _by_grpc(stack, anna)}
            refused = refused + 1 if reasons == {"SESSION_REVOKED"} else 0
    assert await _by_http(api, other) == await _by_grpc(stack, other) == ""


async def test_a_signed_out_token_opens_no_connection(api: Api, connect: Connect) -> None:
    """Although it has not expired: SESSION_REVOKED or closed within the time a revocation may take."""
    anna = await api.register("anna")
    await api.call("AuthService/Logout", {}, anna)
    try:
        peer = await connect(anna)
    except Refused as refused:
        reason = refused.reason
    else:
        reason = f"closed with {(await peer.closed(30)).code}"
    assert reason in ("SESSION_REVOKED", "closed with 4200")


async def test_a_token_that_ends_is_announced_and_closes_the_connection(
    api: Api, stack: Stack, connect: Connect
) -> None:
    """`tokenExpiring`, then 4101; the connection that got a new token in time lives on."""
    anna = await api.register("anna")
    good, anna.access_token = anna.access_token, Forger(stack).token(anna, claims={"exp": ago(-3)})
    ending, refreshed = await connect(anna), await connect(anna, "binary")
    for peer in (ending, refreshed):
        await peer.until(lambda frame: "tokenExpiring" in frame)
    await refreshed.ask({"refresh": {"accessToken": good}})
    assert (await ending.closed()).code == 4101
    await refreshed.call("RoomService/ListRooms", {})
