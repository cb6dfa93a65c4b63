"""The user service over a real gRPC server: what each method answers, and how exactly it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc.aio
import pytest
from polychat.internal.directory.v1.profile_directory_service_pb2 import (
    DeleteProfileRequest,
    PutProfileRequest,
)
from polychat.internal.directory.v1.profile_directory_service_pb2_grpc import ProfileDirectoryServiceStub
from polychat.user.v1 import block_service_pb2 as block_pb
from polychat.user.v1 import user_service_pb2 as pb
from polychat.user.v1.block_service_pb2_grpc import BlockServiceStub
from polychat.user.v1.user_service_pb2_grpc import UserServiceStub

from tests.support.accounts_servers import INTERNAL, Metadata, Refusal, bearer, refusal, user_server

ADA = bearer("user-1")
GRACE = bearer("user-2")


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with user_server(tmp_path) as opened:
        directory = ProfileDirectoryServiceStub(opened)
        for user_id, username in ((1, "ada"), (2, "grace")):
            request = PutProfileRequest(user_id=user_id, username=username, email=f"{username}@example.org")
            await directory.PutProfile(request, metadata=INTERNAL)
        yield opened


@pytest.fixture
def user(channel: grpc.aio.Channel) -> UserServiceStub:
    return UserServiceStub(channel)


async def test_get_user(user: UserServiceStub) -> None:
    """Everybody who signed in may see it; the email is nowhere in it, not even for oneself."""
    found = (await user.GetUser(pb.GetUserRequest(user_id=1), metadata=GRACE)).user
    assert (found.user_id, found.username) == (1, "ada")
    assert found.create_time.ToJsonString() == "2026-03-01T00:00:00Z"
    own = (await user.GetUser(pb.GetUserRequest(user_id=1), metadata=ADA)).user
    assert b"example.org" not in found.SerializeToString() + own.SerializeToString()


async def test_get_nobody(user: UserServiceStub) -> None:
    """NOT_FOUND / USER_NOT_FOUND names the id."""
    assert await refusal(lambda: user.GetUser(pb.GetUserRequest(user_id=9), metadata=ADA)) == Refusal(
        "NOT_FOUND", "USER_NOT_FOUND", "polychat", {"userId": "9"}
    )


async def test_batch_get_leaves_unknown_users_out(user: UserServiceStub) -> None:
    """Unknown ids are no error, and a repeated one is answered once."""
    request = pb.BatchGetUsersRequest(user_ids=[2, 9, 1, 2])
    answer = await user.BatchGetUsers(request, metadata=ADA)
    assert sorted(found.user_id for found in answer.users) == [1, 2]


@pytest.mark.parametrize("user_ids", [[], [0], [-1], list(range(1, 102))])
async def test_batch_get_is_bounded(user: UserServiceStub, user_ids: list[int]) -> None:
    """1 to 100 positive ids."""
    found = await refusal(
        lambda: user.BatchGetUsers(pb.BatchGetUsersRequest(user_ids=user_ids), metadata=ADA)
    )
    assert (found.code, found.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert found.fields[0].startswith("user_ids")


async def test_update_changes_oneself_only(user: UserServiceStub) -> None:
    """There is no way to name another user; what is not set stays."""
    await user.UpdateUser(pb.UpdateUserRequest(display_name="Ada L", bio="hello"), metadata=ADA)
    answer = await user.UpdateUser(pb.UpdateUserRequest(bio=""), metadata=ADA)
    assert (answer.user.user_id, answer.user.display_name, answer.user.bio) == (1, "Ada L", "")
    other = (await user.GetUser(pb.GetUserRequest(user_id=2), metadata=ADA)).user
    assert (other.display_name, other.bio) == ("", "")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"display_name": "x" * 101}, "display_name"),
        ({"bio": "x" * 501}, "bio"),
        ({"bio": "a\0b"}, "bio"),
        ({"display_name": "a\0b"}, "display_name"),
    ],
)
async def test_update_names_the_wrong_field(
    user: UserServiceStub, fields: dict[str, str], wrong: str
) -> None:
    """INVALID_ARGUMENT, and nothing was changed."""
    found = await refusal(lambda: user.UpdateUser(pb.UpdateUserRequest(**fields), metadata=ADA))
    assert (found.code, found.fields) == ("INVALID_ARGUMENT", (wrong,))
    own = (await user.GetUser(pb.GetUserRequest(user_id=1), metadata=ADA)).user
    assert (own.display_name, own.bio) == ("", "")


async def test_update_of_a_user_without_profile(user: UserServiceStub) -> None:
    """A valid token whose user is gone."""
    found = await refusal(lambda: user.UpdateUser(pb.UpdateUserRequest(bio="x"), metadata=bearer("user-9")))
    assert (found.code, found.reason) == ("NOT_FOUND", "USER_NOT_FOUND")


async def test_search_pages(channel: grpc.aio.Channel, user: UserServiceStub) -> None:
    """Every user once, by username; the last page has no token."""
    directory = ProfileDirectoryServiceStub(channel)
    for number in range(10, 17):
        put = PutProfileRequest(user_id=number, username=f"Ada-{number}")
        await directory.PutProfile(put, metadata=INTERNAL)
    names: list[str] = []
    token = ""
    for size in (3, 3, 3):
        request = pb.SearchUsersRequest(query="aDa", page_size=size, page_token=token)
        answer = await user.SearchUsers(request, metadata=GRACE)
        names += [found.username for found in answer.users]
        token = answer.next_page_token
    assert names == ["ada", *(f"Ada-{number}" for number in range(10, 17))]
    assert token == ""


async def test_a_page_token_is_for_one_search_of_one_user(
    channel: grpc.aio.Channel, user: UserServiceStub
) -> None:
    """Another query, another user or a changed letter: PAGE_TOKEN_INVALID."""
    put = PutProfileRequest(user_id=3, username="adam")
    await ProfileDirectoryServiceStub(channel).PutProfile(put, metadata=INTERNAL)
    first = pb.SearchUsersRequest(query="ad", page_size=1)
    token = (await user.SearchUsers(first, metadata=ADA)).next_page_token
    assert token
    tampered = ("B" if token[0] == "A" else "A") + token[1:]
    for query, page_token, metadata in (("a", token, ADA), ("ad", token, GRACE), ("ad", tampered, ADA)):
        request = pb.SearchUsersRequest(query=query, page_token=page_token)
        assert await refusal(lambda: user.SearchUsers(request, metadata=metadata)) == Refusal(  # noqa: B023
            "INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", "polychat", {}
        )


@pytest.mark.parametrize(
    "query",
    ["", "x" * 101, "a\0"],
)
async def test_search_needs_a_query(user: UserServiceStub, query: str) -> None:
    """1 to 100 characters that can be stored."""
    found = await refusal(lambda: user.SearchUsers(pb.SearchUsersRequest(query=query), metadata=ADA))
    assert (found.code, found.fields) == ("INVALID_ARGUMENT", ("query",))


async def test_every_method_needs_a_token(channel: grpc.aio.Channel, user: UserServiceStub) -> None:
    """TOKEN_MISSING for nobody, TOKEN_INVALID for a made up one; also where there is nothing built yet."""
    blocks = BlockServiceStub(channel)
    calls: list[Callable[[Metadata], Awaitable[object]]] = [
        lambda metadata: user.GetUser(pb.GetUserRequest(user_id=1), metadata=metadata),
        lambda metadata: user.BatchGetUsers(pb.BatchGetUsersRequest(user_ids=[1]), metadata=metadata),
        lambda metadata: user.UpdateUser(pb.UpdateUserRequest(bio="x"), metadata=metadata),
        lambda metadata: user.SearchUsers(pb.SearchUsersRequest(query="a"), metadata=metadata),
        lambda metadata: blocks.BlockUser(block_pb.BlockUserRequest(user_id=2), metadata=metadata),
        lambda metadata: blocks.UnblockUser(block_pb.UnblockUserRequest(user_id=2), metadata=metadata),
        lambda metadata: blocks.ListBlockedUsers(block_pb.ListBlockedUsersRequest(), metadata=metadata),
    ]
    for call in calls:
        for metadata in ((), INTERNAL, (("x-user-id", "1"),)):
            assert (await refusal(lambda: call(metadata))).reason == "TOKEN_MISSING"  # noqa: B023
        assert (await refusal(lambda: call(bearer("forged")))).reason == "TOKEN_INVALID"  # noqa: B023


async def test_blocks_are_not_built_yet(channel: grpc.aio.Channel) -> None:
    """UNIMPLEMENTED, with its reason."""
    blocks = BlockServiceStub(channel)
    found = await refusal(lambda: blocks.BlockUser(block_pb.BlockUserRequest(user_id=2), metadata=ADA))
    assert (found.code, found.reason) == ("UNIMPLEMENTED", "UNIMPLEMENTED")


async def test_profiles_are_made_by_internal_callers_only(channel: grpc.aio.Channel) -> None:
    """A user's token opens neither method, and nothing changes."""
    directory = ProfileDirectoryServiceStub(channel)
    put = PutProfileRequest(user_id=1, username="mallory")
    for metadata in ((), ADA):
        for call in (
            lambda: directory.PutProfile(put, metadata=metadata),  # noqa: B023
            lambda: directory.DeleteProfile(DeleteProfileRequest(user_id=1), metadata=metadata),  # noqa: B023
        ):
            assert (await refusal(call)).reason == "INTERNAL_CALLER_REQUIRED"
    own = await UserServiceStub(channel).GetUser(pb.GetUserRequest(user_id=1), metadata=ADA)
    assert own.user.username == "ada"


async def test_put_profile_refuses_what_is_taken(channel: grpc.aio.Channel) -> None:
    """USERNAME_TAKEN and EMAIL_TAKEN of another user; a removed user stays removed."""
    directory = ProfileDirectoryServiceStub(channel)
    taken = PutProfileRequest(user_id=5, username="ADA")
    assert await refusal(lambda: directory.PutProfile(taken, metadata=INTERNAL)) == Refusal(
        "ALREADY_EXISTS", "USERNAME_TAKEN", "polychat", {"username": "ADA"}
    )
    taken = PutProfileRequest(user_id=5, username="edith", email="Ada@example.org")
    assert await refusal(lambda: directory.PutProfile(taken, metadata=INTERNAL)) == Refusal(
        "ALREADY_EXISTS", "EMAIL_TAKEN", "polychat", {}
    )
    await directory.DeleteProfile(DeleteProfileRequest(user_id=1), metadata=INTERNAL)
    again = PutProfileRequest(user_id=1, username="ada")
    assert (await refusal(lambda: directory.PutProfile(again, metadata=INTERNAL))).reason == "USER_NOT_FOUND"
