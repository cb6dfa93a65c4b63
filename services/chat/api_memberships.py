"""MembershipService: proto ↔ domain, nothing decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc.aio
from polychat.chat.v1 import membership_service_pb2 as pb
from polychat.chat.v1 import membership_service_pb2_grpc

from chassis.caller import current_caller
from chassis.errors import Unimplemented
from chassis.interceptors import Access
from chassis.paging import PageTokens, page_size
from services.chat.events import membership_message
from services.chat.use_cases.memberships import Memberships

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

ACCESS = {
    "JoinRoom": Access.USER,
    "LeaveRoom": Access.USER,
    "AddMembers": Access.USER,
    "RemoveMember": Access.USER,
    "BanMember": Access.USER,
    "UnbanMember": Access.USER,
    "UpdateMembership": Access.USER,
    "ListMemberships": Access.USER,
    "CreateInvite": Access.USER,
    "AcceptInvite": Access.USER,
    "RevokeInvite": Access.USER,
}


class MembershipApi(membership_service_pb2_grpc.MembershipServiceServicer):
    """polychat.chat.v1.MembershipService."""

    def __init__(self, memberships: Memberships, tokens: PageTokens) -> None:
        self._memberships = memberships
        self._tokens = tokens

    async def JoinRoom(  # noqa: N802 — gRPC's name
        self, request: pb.JoinRoomRequest, _context: Context
    ) -> pb.JoinRoomResponse:
        membership = await self._memberships.join(current_caller().user_id, request.room_id)
        return pb.JoinRoomResponse(membership=membership_message(membership))

    async def LeaveRoom(  # noqa: N802 — gRPC's name
        self, request: pb.LeaveRoomRequest, _context: Context
    ) -> pb.LeaveRoomResponse:
        await self._memberships.leave(current_caller().user_id, request.room_id)
        return pb.LeaveRoomResponse()

    async def AddMembers(  # noqa: N802 — gRPC's name
        self, request: pb.AddMembersRequest, _context: Context
    ) -> pb.AddMembersResponse:
        added = await self._memberships.add(current_caller(), request.room_id, request.user_ids)
        return pb.AddMembersResponse(memberships=[membership_message(m) for m in added])

    async def RemoveMember(  # noqa: N802 — gRPC's name
        self, request: pb.RemoveMemberRequest, _context: Context
    ) -> pb.RemoveMemberResponse:
        await self._memberships.remove(current_caller().user_id, request.room_id, request.user_id)
        return pb.RemoveMemberResponse()

    async def ListMemberships(  # noqa: N802 — gRPC's name
        self, request: pb.ListMembershipsRequest, _context: Context
    ) -> pb.ListMembershipsResponse:
        user_id = current_caller().user_id
        scope = f"ListMemberships/{user_id}/{request.room_id}"
        (after,) = self._tokens.open(scope, request.page_token) if request.page_token else (0,)
        page = await self._memberships.list(user_id, request.room_id, page_size(request.page_size), after)
        token = "" if page.next_position is None else self._tokens.seal(scope, page.next_position)
        return pb.ListMembershipsResponse(
            memberships=[membership_message(m) for m in page.memberships], next_page_token=token
        )

    async def BanMember(  # noqa: N802 — gRPC's name
        self, _request: pb.BanMemberRequest, _context: Context
    ) -> pb.BanMemberResponse:
        raise Unimplemented

    async def UnbanMember(  # noqa: N802 — gRPC's name
        self, _request: pb.UnbanMemberRequest, _context: Context
    ) -> pb.UnbanMemberResponse:
        raise Unimplemented

    async def UpdateMembership(  # noqa: N802 — gRPC's name
        self, _request: pb.UpdateMembershipRequest, _context: Context
    ) -> pb.UpdateMembershipResponse:
        raise Unimplemented

    async def CreateInvite(  # noqa: N802 — gRPC's name
        self, _request: pb.CreateInviteRequest, _context: Context
    ) -> pb.CreateInviteResponse:
        raise Unimplemented

    async def AcceptInvite(  # noqa: N802 — gRPC's name
        self, _request: pb.AcceptInviteRequest, _context: Context
    ) -> pb.AcceptInviteResponse:
        raise Unimplemented

    async def RevokeInvite(  # noqa: N802 — gRPC's name
        self, _request: pb.RevokeInviteRequest, _context: Context
    ) -> pb.RevokeInviteResponse:
        raise Unimplemented
