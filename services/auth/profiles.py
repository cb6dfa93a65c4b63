"""The user service as auth sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc.aio
from polychat.internal.directory.v1.profile_directory_service_pb2 import (
    DeleteProfileRequest,
    PutProfileRequest,
)
from polychat.internal.directory.v1.profile_directory_service_pb2_grpc import ProfileDirectoryServiceStub

from chassis.caller import internal_metadata
from chassis.errors import BackendUnavailable, Failure
from chassis.status import from_rpc_error
from services.auth.errors import EmailTaken, UsernameTaken

if TYPE_CHECKING:
    from discovery import ServiceClient


class RemoteProfiles:
    """Profiles over gRPC, as an internal caller."""

    def __init__(self, client: ServiceClient[ProfileDirectoryServiceStub], credential: str) -> None:
        self._client = client
        self._metadata = internal_metadata(credential)

    async def put(self, user_id: int, username: str, display_name: str, email: str) -> None:
        request = PutProfileRequest(
            user_id=user_id, username=username, display_name=display_name, email=email
        )
        try:
            await self._client.stub.PutProfile(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise _translated(from_rpc_error(error), username) from error

    async def remove(self, user_id: int) -> None:
        try:
            await self._client.stub.DeleteProfile(
                DeleteProfileRequest(user_id=user_id), metadata=self._metadata
            )
        except grpc.aio.AioRpcError as error:
            raise BackendUnavailable("user") from error


def _translated(failure: Failure, username: str) -> Failure:
    """What the registering user may see: whose name or email it is, or that the service is away."""
    if failure.reason == EmailTaken.reason:
        return EmailTaken()
    if failure.reason == UsernameTaken.reason:
        return UsernameTaken(username)
    return BackendUnavailable("user")
