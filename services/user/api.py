"""The user service's gRPC methods: proto ↔ domain, nothing decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc.aio
from polychat.internal.directory.v1 import profile_directory_service_pb2, profile_directory_service_pb2_grpc
from polychat.user.v1 import (
    block_service_pb2,
    block_service_pb2_grpc,
    user_service_pb2,
    user_service_pb2_grpc,
)
from polychat.user.v1.user_pb2 import User

from chassis.caller import current_caller
from chassis.errors import Unimplemented
from chassis.grpc_server import GrpcService
from chassis.interceptors import Access
from services.user.domain import Profile, ProfileChange
from services.user.use_cases.directory import Directory
from services.user.use_cases.profiles import Profiles

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

USER_ACCESS = {
    "GetUser": Access.USER,
    "BatchGetUsers": Access.USER,
    "UpdateUser": Access.USER,
    "SearchUsers": Access.USER,
}
BLOCK_ACCESS = {
    "BlockUser": Access.USER,
    "UnblockUser": Access.USER,
    "ListBlockedUsers": Access.USER,
}
PROFILE_DIRECTORY_ACCESS = {"PutProfile": Access.INTERNAL, "DeleteProfile": Access.INTERNAL}


class UserApi(user_service_pb2_grpc.UserServiceServicer):
    """polychat.user.v1.UserService."""

    def __init__(self, profiles: Profiles, directory: Directory) -> None:
        self._profiles = profiles
        self._directory = directory

    async def GetUser(  # noqa: N802 — gRPC's name
        self, request: user_service_pb2.GetUserRequest, _context: Context
    ) -> user_service_pb2.GetUserResponse:
        return user_service_pb2.GetUserResponse(user=_user(await self._profiles.get(request.user_id)))

    async def BatchGetUsers(  # noqa: N802 — gRPC's name
        self, request: user_service_pb2.BatchGetUsersRequest, _context: Context
    ) -> user_service_pb2.BatchGetUsersResponse:
        found = await self._profiles.batch_get(request.user_ids)
        return user_service_pb2.BatchGetUsersResponse(users=map(_user, found))

    async def UpdateUser(  # noqa: N802 — gRPC's name
        self, request: user_service_pb2.UpdateUserRequest, _context: Context
    ) -> user_service_pb2.UpdateUserResponse:
        change = ProfileChange(
            request.display_name if request.HasField("display_name") else None,
            request.bio if request.HasField("bio") else None,
        )
        profile = await self._profiles.update(current_caller().user_id, change)
        return user_service_pb2.UpdateUserResponse(user=_user(profile))

    async def SearchUsers(  # noqa: N802 — gRPC's name
        self, request: user_service_pb2.SearchUsersRequest, _context: Context
    ) -> user_service_pb2.SearchUsersResponse:
        found, next_page_token = await self._directory.search(
            current_caller().user_id, request.query, request.page_size, request.page_token
        )
        return user_service_pb2.SearchUsersResponse(users=map(_user, found), next_page_token=next_page_token)


class BlockApi(block_service_pb2_grpc.BlockServiceServicer):
    """polychat.user.v1.BlockService."""

    async def BlockUser(  # noqa: N802 — gRPC's name
        self, _request: block_service_pb2.BlockUserRequest, _context: Context
    ) -> block_service_pb2.BlockUserResponse:
        raise Unimplemented

    async def UnblockUser(  # noqa: N802 — gRPC's name
        self, _request: block_service_pb2.UnblockUserRequest, _context: Context
    ) -> block_service_pb2.UnblockUserResponse:
        raise Unimplemented

    async def ListBlockedUsers(  # noqa: N802 — gRPC's name
        self, _request: block_service_pb2.ListBlockedUsersRequest, _context: Context
    ) -> block_service_pb2.ListBlockedUsersResponse:
        raise Unimplemented


class ProfileDirectoryApi(profile_directory_service_pb2_grpc.ProfileDirectoryServiceServicer):
    """polychat.internal.directory.v1.ProfileDirectoryService."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    async def PutProfile(  # noqa: N802 — gRPC's name
        self, request: profile_directory_service_pb2.PutProfileRequest, _context: Context
    ) -> profile_directory_service_pb2.PutProfileResponse:
        profile = await self._profiles.put(
            request.user_id, request.username, request.display_name, request.email
        )
        return profile_directory_service_pb2.PutProfileResponse(user=_user(profile))

    async def DeleteProfile(  # noqa: N802 — gRPC's name
        self, request: profile_directory_service_pb2.DeleteProfileRequest, _context: Context
    ) -> profile_directory_service_pb2.DeleteProfileResponse:
        await self._profiles.remove(request.user_id)
        return profile_directory_service_pb2.DeleteProfileResponse()


def grpc_services(user: UserApi, profile_directory: ProfileDirectoryApi) -> list[GrpcService]:
    """Everything that the user service serves, and who may call it."""
    return [
        GrpcService(
            user_service_pb2.DESCRIPTOR.services_by_name["UserService"],
            user_service_pb2_grpc.add_UserServiceServicer_to_server,
            user,
            USER_ACCESS,
        ),
        GrpcService(
            block_service_pb2.DESCRIPTOR.services_by_name["BlockService"],
            block_service_pb2_grpc.add_BlockServiceServicer_to_server,
            BlockApi(),
            BLOCK_ACCESS,
        ),
        GrpcService(
            profile_directory_service_pb2.DESCRIPTOR.services_by_name["ProfileDirectoryService"],
            profile_directory_service_pb2_grpc.add_ProfileDirectoryServiceServicer_to_server,
            profile_directory,
            PROFILE_DIRECTORY_ACCESS,
        ),
    ]


def _user(profile: Profile) -> User:
    """What everybody may see: no email address."""
    user = User(
        user_id=profile.user_id,
        username=profile.username,
        display_name=profile.display_name,
        bio=profile.bio,
    )
    user.create_time.FromDatetime(profile.create_time)
    return user
