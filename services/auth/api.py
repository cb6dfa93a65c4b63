"""auth's gRPC methods: proto ↔ domain, nothing decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from polychat.auth.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    session_service_pb2,
    session_service_pb2_grpc,
)
from polychat.auth.v1.jwk_pb2 import Jwk
from polychat.internal.directory.v1 import session_directory_service_pb2, session_directory_service_pb2_grpc
from polychat.user.v1.user_pb2 import User

from chassis.caller import current_caller
from chassis.errors import Unimplemented
from chassis.grpc_server import GrpcService
from chassis.interceptors import Access
from services.auth.domain import TokenPair
from services.auth.origin import Origins
from services.auth.use_cases.login import Login
from services.auth.use_cases.registration import NewUser, Registration
from services.auth.use_cases.sessions import Sessions
from services.auth.use_cases.signing_keys import SigningKeys

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

AUTH_ACCESS = {
    "Register": Access.PUBLIC,
    "Login": Access.PUBLIC,
    "RefreshSession": Access.PUBLIC,
    "Logout": Access.USER,
    "ChangePassword": Access.USER,
    "GetJwks": Access.PUBLIC,
}
SESSION_ACCESS = {
    "ListSessions": Access.USER,
    "RevokeSession": Access.USER,
    "RevokeAllSessions": Access.USER,
}
SESSION_DIRECTORY_ACCESS = {"CheckSessions": Access.INTERNAL}


class AuthApi(auth_service_pb2_grpc.AuthServiceServicer):
    """polychat.auth.v1.AuthService."""

    def __init__(
        self,
        registration: Registration,
        login: Login,
        sessions: Sessions,
        keys: SigningKeys,
        origins: Origins,
    ) -> None:
        self._registration = registration
        self._login = login
        self._sessions = sessions
        self._keys = keys
        self._origins = origins

    async def Register(  # noqa: N802 — gRPC's name
        self, request: auth_service_pb2.RegisterRequest, context: Context
    ) -> auth_service_pb2.RegisterResponse:
        user = NewUser(
            request.username, request.password, request.display_name, request.email, request.device_name
        )
        pair = await self._registration.register(user, self._address(context))
        return auth_service_pb2.RegisterResponse(
            user=_user(pair),
            access_token=pair.access_token,
            expires_in=_duration(pair),
            refresh_token=pair.refresh_token,
        )

    async def Login(  # noqa: N802 — gRPC's name
        self, request: auth_service_pb2.LoginRequest, context: Context
    ) -> auth_service_pb2.LoginResponse:
        pair = await self._login.login(
            request.username, request.password, request.device_name, self._address(context)
        )
        return auth_service_pb2.LoginResponse(
            user=_user(pair),
            access_token=pair.access_token,
            expires_in=_duration(pair),
            refresh_token=pair.refresh_token,
        )

    async def RefreshSession(  # noqa: N802 — gRPC's name
        self, request: auth_service_pb2.RefreshSessionRequest, context: Context
    ) -> auth_service_pb2.RefreshSessionResponse:
        pair = await self._sessions.refresh(request.refresh_token, self._address(context))
        return auth_service_pb2.RefreshSessionResponse(
            user=_user(pair),
            access_token=pair.access_token,
            expires_in=_duration(pair),
            refresh_token=pair.refresh_token,
        )

    async def Logout(  # noqa: N802 — gRPC's name
        self, _request: auth_service_pb2.LogoutRequest, context: Context
    ) -> auth_service_pb2.LogoutResponse:
        caller = current_caller()
        await self._sessions.logout(caller.user_id, caller.session_id, self._address(context))
        return auth_service_pb2.LogoutResponse()

    async def ChangePassword(  # noqa: N802 — gRPC's name
        self, _request: auth_service_pb2.ChangePasswordRequest, _context: Context
    ) -> auth_service_pb2.ChangePasswordResponse:
        raise Unimplemented

    async def GetJwks(  # noqa: N802 — gRPC's name
        self, _request: auth_service_pb2.GetJwksRequest, _context: Context
    ) -> auth_service_pb2.GetJwksResponse:
        return auth_service_pb2.GetJwksResponse(keys=[Jwk(**key) for key in self._keys.jwks()])

    def _address(self, context: Context) -> str | None:
        return self._origins.address(context.invocation_metadata() or ())


class SessionApi(session_service_pb2_grpc.SessionServiceServicer):
    """polychat.auth.v1.SessionService."""

    async def ListSessions(  # noqa: N802 — gRPC's name
        self, _request: session_service_pb2.ListSessionsRequest, _context: Context
    ) -> session_service_pb2.ListSessionsResponse:
        raise Unimplemented

    async def RevokeSession(  # noqa: N802 — gRPC's name
        self, _request: session_service_pb2.RevokeSessionRequest, _context: Context
    ) -> session_service_pb2.RevokeSessionResponse:
        raise Unimplemented

    async def RevokeAllSessions(  # noqa: N802 — gRPC's name
        self, _request: session_service_pb2.RevokeAllSessionsRequest, _context: Context
    ) -> session_service_pb2.RevokeAllSessionsResponse:
        raise Unimplemented


class SessionDirectoryApi(session_directory_service_pb2_grpc.SessionDirectoryServiceServicer):
    """polychat.internal.directory.v1.SessionDirectoryService."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def CheckSessions(  # noqa: N802 — gRPC's name
        self, request: session_directory_service_pb2.CheckSessionsRequest, _context: Context
    ) -> session_directory_service_pb2.CheckSessionsResponse:
        ended = await self._sessions.check(list(request.session_ids))
        return session_directory_service_pb2.CheckSessionsResponse(ended_session_ids=ended)


def grpc_services(auth: AuthApi, session_directory: SessionDirectoryApi) -> list[GrpcService]:
    """Everything that auth serves, and who may call it."""
    return [
        GrpcService(
            auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"],
            auth_service_pb2_grpc.add_AuthServiceServicer_to_server,
            auth,
            AUTH_ACCESS,
        ),
        GrpcService(
            session_service_pb2.DESCRIPTOR.services_by_name["SessionService"],
            session_service_pb2_grpc.add_SessionServiceServicer_to_server,
            SessionApi(),
            SESSION_ACCESS,
        ),
        GrpcService(
            session_directory_service_pb2.DESCRIPTOR.services_by_name["SessionDirectoryService"],
            session_directory_service_pb2_grpc.add_SessionDirectoryServiceServicer_to_server,
            session_directory,
            SESSION_DIRECTORY_ACCESS,
        ),
    ]


def _user(pair: TokenPair) -> User:
    return User(user_id=pair.user_id, username=pair.username)


def _duration(pair: TokenPair) -> Duration:
    duration = Duration()
    duration.FromTimedelta(pair.expires_in)
    return duration
