"""The gRPC services of the process and who may call them."""

from __future__ import annotations

from dataclasses import dataclass

from polychat.chat.v1 import (
    membership_service_pb2,
    membership_service_pb2_grpc,
    messaging_service_pb2,
    messaging_service_pb2_grpc,
    presence_service_pb2,
    presence_service_pb2_grpc,
    room_service_pb2,
    room_service_pb2_grpc,
)
from polychat.internal.link.v1 import link_service_pb2, link_service_pb2_grpc

from chassis.grpc_server import GrpcService
from chassis.paging import PageTokens
from services.chat import api_link, api_memberships, api_messaging, api_rooms
from services.chat.links import LinkParts
from services.chat.lost_edges import LostEdges
from services.chat.use_cases.memberships import Memberships
from services.chat.use_cases.rooms import Rooms
from services.chat.use_cases.sending import Sending


@dataclass(frozen=True)
class Apis:
    """One servicer a service."""

    rooms: api_rooms.RoomApi
    memberships: api_memberships.MembershipApi
    messaging: api_messaging.MessagingApi
    presence: api_messaging.PresenceApi
    link: api_link.LinkApi

    @classmethod
    def of(
        cls,
        *,
        rooms: Rooms,
        memberships: Memberships,
        sending: Sending,
        link: LinkParts,
        lost_edges: LostEdges,
        tokens: PageTokens,
        instance: str,
    ) -> Apis:
        """The servicers over these use cases."""
        return cls(
            api_rooms.RoomApi(rooms, tokens),
            api_memberships.MembershipApi(memberships, tokens),
            api_messaging.MessagingApi(sending),
            api_messaging.PresenceApi(),
            api_link.LinkApi(link, lost_edges, instance),
        )


def grpc_services(apis: Apis) -> list[GrpcService]:
    """Everything chat serves."""
    return [
        GrpcService(
            room_service_pb2.DESCRIPTOR.services_by_name["RoomService"],
            room_service_pb2_grpc.add_RoomServiceServicer_to_server,
            apis.rooms,
            api_rooms.ACCESS,
        ),
        GrpcService(
            membership_service_pb2.DESCRIPTOR.services_by_name["MembershipService"],
            membership_service_pb2_grpc.add_MembershipServiceServicer_to_server,
            apis.memberships,
            api_memberships.ACCESS,
        ),
        GrpcService(
            messaging_service_pb2.DESCRIPTOR.services_by_name["MessagingService"],
            messaging_service_pb2_grpc.add_MessagingServiceServicer_to_server,
            apis.messaging,
            api_messaging.MESSAGING_ACCESS,
        ),
        GrpcService(
            presence_service_pb2.DESCRIPTOR.services_by_name["PresenceService"],
            presence_service_pb2_grpc.add_PresenceServiceServicer_to_server,
            apis.presence,
            api_messaging.PRESENCE_ACCESS,
        ),
        GrpcService(
            link_service_pb2.DESCRIPTOR.services_by_name["LinkService"],
            link_service_pb2_grpc.add_LinkServiceServicer_to_server,
            apis.link,
            api_link.ACCESS,
        ),
    ]
