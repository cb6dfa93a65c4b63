"""Registering across two real servers: auth on one side, the user service on the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc.aio
import pytest
from polychat.auth.v1.auth_service_pb2 import RegisterRequest
from polychat.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from polychat.internal.directory.v1.profile_directory_service_pb2_grpc import ProfileDirectoryServiceStub
from polychat.user.v1.user_service_pb2 import GetUserRequest, SearchUsersRequest
from polychat.user.v1.user_service_pb2_grpc import UserServiceStub

from discovery import ServiceClient
from services.auth.profiles import RemoteProfiles
from tests.support.accounts_servers import (
    CREDENTIAL,
    OneStub,
    Refusal,
    auth_server,
    bearer,
    refusal,
    user_server,
)
from tests.support.auth_world import PASSWORD, World


@dataclass
class Both:
    """The two services, and auth's way to the other."""

    world: World
    profiles: RemoteProfiles
    auth: AuthServiceStub
    user: UserServiceStub
    user_channel: grpc.aio.Channel


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with user_server(tmp_path) as user_channel:
        client = OneStub(ProfileDirectoryServiceStub(user_channel))
        profiles = RemoteProfiles(cast("ServiceClient[ProfileDirectoryServiceStub]", client), CREDENTIAL)
        world = await World(remote_profiles=profiles).start()
        async with auth_server(tmp_path, world) as auth_channel:
            auth, user = AuthServiceStub(auth_channel), UserServiceStub(user_channel)
            yield Both(world, profiles, auth, user, user_channel)


def new_user(username: str, email: str = "") -> RegisterRequest:
    """A registration with the usual password."""
    return RegisterRequest(username=username, password=PASSWORD, display_name="Ada L", email=email)


async def test_the_profile_is_there_when_register_answers(both: Both) -> None:
    """The others see the name and what to show, never the email."""
    answer = await both.auth.Register(new_user("ada", "ada@example.org"))
    request = GetUserRequest(user_id=answer.user.user_id)
    profile = (await both.user.GetUser(request, metadata=bearer("user-7"))).user
    assert (profile.user_id, profile.username, profile.display_name) == (
        answer.user.user_id,
        "ada",
        "Ada L",
    )
    assert "example.org" not in str(profile)


async def test_a_taken_email_crosses_both_services(both: Both) -> None:
    """EMAIL_TAKEN of the user service is Register's answer, and the name is free again."""
    await both.auth.Register(new_user("ada", "ada@example.org"))
    assert await refusal(lambda: both.auth.Register(new_user("grace", "ADA@example.org"))) == Refusal(
        "ALREADY_EXISTS", "EMAIL_TAKEN", "polychat", {}
    )
    assert await both.auth.Register(new_user("grace", "grace@example.org"))


async def test_a_wrong_credential_makes_no_user(both: Both) -> None:
    """A user service that does not take auth for an internal caller is as good as away: nothing is left."""
    both.world.registration._profiles = RemoteProfiles(both.profiles._client, "wrong")
    found = await refusal(lambda: both.auth.Register(new_user("ada")))
    assert (found.reason, found.metadata) == ("BACKEND_UNAVAILABLE", {"backend": "user"})
    search = SearchUsersRequest(query="ada")
    assert not (await both.user.SearchUsers(search, metadata=bearer("user-7"))).users


async def test_a_dead_user_service_is_unavailable(both: Both) -> None:
    """A closed connection is told as BACKEND_UNAVAILABLE, and the account is kept for the sweep only."""
    dead = grpc.aio.insecure_channel("127.0.0.1:1")
    client = OneStub(ProfileDirectoryServiceStub(dead))
    both.world.registration._profiles = RemoteProfiles(
        cast("ServiceClient[ProfileDirectoryServiceStub]", client), CREDENTIAL
    )
    found = await refusal(lambda: both.auth.Register(new_user("ada")))
    assert (found.code, found.reason) == ("UNAVAILABLE", "BACKEND_UNAVAILABLE")
    await dead.close()
    (account,) = both.world.tables.accounts.values()
    assert account.state == "abandoned"
    both.world.registration._profiles = both.profiles
    assert await both.auth.Register(new_user("ada"))
