"""auth over a real gRPC server: what each method answers, and how exactly it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc.aio
import jwt
import pytest
from polychat.auth.v1 import auth_service_pb2 as pb
from polychat.auth.v1 import session_service_pb2 as session_pb
from polychat.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from polychat.auth.v1.session_service_pb2_grpc import SessionServiceStub
from polychat.internal.directory.v1.session_directory_service_pb2 import CheckSessionsRequest
from polychat.internal.directory.v1.session_directory_service_pb2_grpc import SessionDirectoryServiceStub

from services.auth.ports import Rate
from tests.support.accounts_servers import (
    CREDENTIAL,
    INTERNAL,
    Metadata,
    Refusal,
    auth_server,
    bearer,
    refusal,
)
from tests.support.auth_world import PASSWORD, UNLIMITED, World, away


@pytest.fixture
async def world() -> World:
    return await World().start()


@pytest.fixture
async def channel(world: World, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with auth_server(tmp_path, world) as opened:
        yield opened


@pytest.fixture
def auth(channel: grpc.aio.Channel) -> AuthServiceStub:
    return AuthServiceStub(channel)


def new_user(username: str = "Ada", **fields: str) -> pb.RegisterRequest:
    """A registration with the usual password."""
    return pb.RegisterRequest(**{"username": username, "password": PASSWORD, **fields})


async def test_register_signs_in(auth: AuthServiceStub) -> None:
    """The answer has the user, a token for 900 s and a refresh token."""
    answer = await auth.Register(new_user())
    assert answer.user.username == "Ada"
    assert answer.user.user_id > 0
    assert answer.expires_in.seconds == 900
    assert len(answer.refresh_token) == 43


async def test_the_access_token_is_as_promised(auth: AuthServiceStub) -> None:
    """Its header and claims are exactly those of the contract, signed with a key of GetJwks."""
    answer = await auth.Register(new_user())
    keys = (await auth.GetJwks(pb.GetJwksRequest())).keys
    header = jwt.get_unverified_header(answer.access_token)
    assert header == {"alg": "ES256", "kid": keys[0].kid, "typ": "at+jwt"}
    key = jwt.PyJWK({name.name: value for name, value in keys[0].ListFields()})
    claims = jwt.decode(
        answer.access_token, key, algorithms=["ES256"], audience="polychat", options={"verify_exp": False}
    )
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "ver"}
    assert (claims["iss"], claims["sub"], claims["ver"]) == ("polychat", str(answer.user.user_id), 1)
    assert claims["exp"] - claims["iat"] == 900


async def test_a_taken_name(auth: AuthServiceStub) -> None:
    """ALREADY_EXISTS / USERNAME_TAKEN names it as it was asked for."""
    await auth.Register(new_user("Ada"))
    assert await refusal(lambda: auth.Register(new_user("ADA"))) == Refusal(
        "ALREADY_EXISTS", "USERNAME_TAKEN", "polychat", {"username": "ADA"}
    )


async def test_a_taken_email(auth: AuthServiceStub) -> None:
    """ALREADY_EXISTS / EMAIL_TAKEN does not repeat the address."""
    await auth.Register(new_user("ada", email="ada@example.org"))
    assert await refusal(lambda: auth.Register(new_user("grace", email="Ada@example.org"))) == Refusal(
        "ALREADY_EXISTS", "EMAIL_TAKEN", "polychat", {}
    )


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"username": "ab"}, "username"),
        ({"username": "a" * 51}, "username"),
        ({"username": "-ada"}, "username"),
        ({"username": "ada lovelace"}, "username"),
        ({"username": "аda"}, "username"),  # noqa: RUF001 — a Cyrillic letter that looks like another
        ({"username": "ada\n"}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"email": "not an address"}, "email"),
        ({"display_name": "x" * 101}, "display_name"),
        ({"display_name": "a\0b"}, "display_name"),
        ({"device_name": "x" * 101}, "device_name"),
    ],
)
async def test_a_wrong_field_is_named(
    world: World, auth: AuthServiceStub, fields: dict[str, str], wrong: str
) -> None:
    """INVALID_ARGUMENT with the field's path, and nothing was made."""
    found = await refusal(lambda: auth.Register(new_user(**fields)))
    assert (found.code, found.reason, found.domain) == ("INVALID_ARGUMENT", "INVALID_FIELD", "polychat")
    assert set(found.fields) == {wrong}
    assert not world.tables.accounts


async def test_a_password_of_any_letters(auth: AuthServiceStub) -> None:
    """The password is taken as it is: spaces, any script, 256 bytes."""
    password = "  pä⚑ " + "x" * 200
    await auth.Register(new_user(password=password))
    assert await auth.Login(pb.LoginRequest(username="ada", password=password))
    stripped = pb.LoginRequest(username="ada", password=password.strip())
    assert (await refusal(lambda: auth.Login(stripped))).reason == "INVALID_CREDENTIALS"


async def test_user_service_away(world: World, auth: AuthServiceStub) -> None:
    """UNAVAILABLE / BACKEND_UNAVAILABLE with the time to wait; the same request works later."""
    world.profiles.before_put = away
    assert await refusal(lambda: auth.Register(new_user())) == Refusal(
        "UNAVAILABLE", "BACKEND_UNAVAILABLE", "polychat", {"backend": "user"}, retry_seconds=1.0
    )
    world.profiles.before_put = lambda: None
    assert await auth.Register(new_user())


async def test_unknown_user_and_wrong_password_are_refused_alike(auth: AuthServiceStub) -> None:
    """Nothing in the answer tells which it was."""
    await auth.Register(new_user())
    wrong = await refusal(lambda: auth.Login(pb.LoginRequest(username="ada", password="wrong")))
    unknown = await refusal(lambda: auth.Login(pb.LoginRequest(username="nobody", password="wrong")))
    assert wrong == unknown == Refusal("UNAUTHENTICATED", "INVALID_CREDENTIALS", "polychat", {})


async def test_too_many_tries(world: World, auth: AuthServiceStub) -> None:
    """RESOURCE_EXHAUSTED / RATE_LIMITED says how long to wait."""
    world.limits = replace(UNLIMITED, login_user=Rate(2, 60.0))
    request = pb.LoginRequest(username="ada", password="wrong")
    for _ in range(2):
        assert (await refusal(lambda: auth.Login(request))).reason == "INVALID_CREDENTIALS"
    assert await refusal(lambda: auth.Login(request)) == Refusal(
        "RESOURCE_EXHAUSTED", "RATE_LIMITED", "polychat", {}, retry_seconds=30.0
    )


async def test_a_full_password_queue(world: World, auth: AuthServiceStub) -> None:
    """RESOURCE_EXHAUSTED / OVERLOADED says how long to wait."""

    world.hasher.full = True
    assert await refusal(lambda: auth.Login(pb.LoginRequest(username="ada", password="x"))) == Refusal(
        "RESOURCE_EXHAUSTED", "OVERLOADED", "polychat", {}, retry_seconds=1.0
    )


async def test_the_address_is_taken_from_the_edge_only(world: World, auth: AuthServiceStub) -> None:
    """The limit per address counts what an internal caller says; a plain header counts for nothing."""
    world.limits = replace(UNLIMITED, register_address=Rate(1, 3600.0))
    forged = (("x-polychat-client-address", "192.0.2.1"), ("x-forwarded-for", "192.0.2.1"))
    for name in ("ada", "grace"):
        await auth.Register(new_user(name), metadata=forged)
    told = (*INTERNAL, ("x-polychat-client-address", "192.0.2.1"))
    await auth.Register(new_user("edith"), metadata=told)
    assert (await refusal(lambda: auth.Register(new_user("mary"), metadata=told))).reason == "RATE_LIMITED"


async def test_refresh_and_reuse(world: World, auth: AuthServiceStub) -> None:
    """A new pair; the same pair in the grace; then the session is over, for both tokens."""
    first = await auth.Register(new_user())
    request = pb.RefreshSessionRequest(refresh_token=first.refresh_token)
    second = await auth.RefreshSession(request)
    assert second.user == first.user
    assert (await auth.RefreshSession(request)).refresh_token == second.refresh_token
    world.clock.pass_time(timedelta(seconds=11))
    assert await refusal(lambda: auth.RefreshSession(request)) == Refusal(
        "UNAUTHENTICATED", "REFRESH_TOKEN_REUSED", "polychat", {}
    )
    successor = pb.RefreshSessionRequest(refresh_token=second.refresh_token)
    assert await refusal(lambda: auth.RefreshSession(successor)) == Refusal(
        "UNAUTHENTICATED", "SESSION_REVOKED", "polychat", {}
    )


async def test_junk_is_no_refresh_token(auth: AuthServiceStub) -> None:
    """UNAUTHENTICATED / REFRESH_TOKEN_INVALID; an empty or huge one has the wrong shape."""
    junk = pb.RefreshSessionRequest(refresh_token="junk")
    assert (await refusal(lambda: auth.RefreshSession(junk))).reason == "REFRESH_TOKEN_INVALID"
    for token in ("", "x" * 513):
        request = pb.RefreshSessionRequest(refresh_token=token)
        assert (await refusal(lambda: auth.RefreshSession(request))).fields == ("refresh_token",)  # noqa: B023


async def test_logout(world: World, auth: AuthServiceStub) -> None:
    """The session of the token ends; the second time it answers SESSION_REVOKED."""
    answer = await auth.Register(new_user())
    metadata = bearer(answer.access_token)
    await auth.Logout(pb.LogoutRequest(), metadata=metadata)
    assert world.hints.heard == list(world.tables.sessions)
    assert await refusal(lambda: auth.Logout(pb.LogoutRequest(), metadata=metadata)) == Refusal(
        "UNAUTHENTICATED", "SESSION_REVOKED", "polychat", {}
    )


async def test_logout_needs_an_access_token(auth: AuthServiceStub) -> None:
    """None is TOKEN_MISSING; a refresh token is no access token."""
    assert (await refusal(lambda: auth.Logout(pb.LogoutRequest()))).reason == "TOKEN_MISSING"
    answer = await auth.Register(new_user())
    metadata = bearer(answer.refresh_token)
    assert (
        await refusal(lambda: auth.Logout(pb.LogoutRequest(), metadata=metadata))
    ).reason == "TOKEN_INVALID"


async def test_check_sessions_is_internal(world: World, channel: grpc.aio.Channel) -> None:
    """Without the credential it is refused, also with a user's token; with it the ended ones come back."""
    directory = SessionDirectoryServiceStub(channel)
    pair = await world.register()
    (session_id,) = world.tables.sessions
    request = CheckSessionsRequest(session_ids=[session_id, 5])
    wrong = [(), bearer(pair.access_token), (("x-polychat-internal", CREDENTIAL + "x"),)]
    for metadata in wrong:
        assert await refusal(lambda: directory.CheckSessions(request, metadata=metadata)) == Refusal(  # noqa: B023
            "PERMISSION_DENIED", "INTERNAL_CALLER_REQUIRED", "polychat", {}
        )
    answer = await directory.CheckSessions(request, metadata=INTERNAL)
    assert list(answer.ended_session_ids) == [5]
    too_many = CheckSessionsRequest(session_ids=range(1, 5002))
    found = await refusal(lambda: directory.CheckSessions(too_many, metadata=INTERNAL))
    assert (found.code, found.fields) == ("INVALID_ARGUMENT", ("session_ids",))


async def test_methods_that_are_not_built_yet(
    world: World, auth: AuthServiceStub, channel: grpc.aio.Channel
) -> None:
    """They answer UNIMPLEMENTED, and only to a user who signed in."""
    sessions = SessionServiceStub(channel)
    pair = await world.register()
    change = pb.ChangePasswordRequest(current_password=PASSWORD, new_password=PASSWORD + "!")
    calls: list[Callable[[Metadata], Awaitable[object]]] = [
        lambda metadata: auth.ChangePassword(change, metadata=metadata),
        lambda metadata: sessions.ListSessions(session_pb.ListSessionsRequest(), metadata=metadata),
        lambda metadata: sessions.RevokeSession(
            session_pb.RevokeSessionRequest(session_id=1), metadata=metadata
        ),
        lambda metadata: sessions.RevokeAllSessions(session_pb.RevokeAllSessionsRequest(), metadata=metadata),
    ]
    for call in calls:
        assert (await refusal(lambda: call(()))).reason == "TOKEN_MISSING"  # noqa: B023
        found = await refusal(lambda: call(bearer(pair.access_token)))  # noqa: B023
        assert (found.code, found.reason) == ("UNIMPLEMENTED", "UNIMPLEMENTED")
