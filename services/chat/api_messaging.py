"""MessagingService and PresenceService: proto ↔ domain, nothing decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc.aio
from polychat.chat.v1 import messaging_service_pb2 as pb
from polychat.chat.v1 import messaging_service_pb2_grpc, presence_service_pb2, presence_service_pb2_grpc

from chassis.caller import current_caller
from chassis.errors import Unimplemented
from chassis.interceptors import Access
from services.chat.use_cases.sending import Sending
from services.chat.wire import draft_of, sent_message

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

MESSAGING_ACCESS = {
    "SendMessage": Access.USER,
    "EditMessage": Access.USER,
    "DeleteMessage": Access.USER,
    "AddReaction": Access.USER,
    "RemoveReaction": Access.USER,
    "PinMessage": Access.USER,
    "UnpinMessage": Access.USER,
}
PRESENCE_ACCESS = {"BatchGetPresence": Access.USER, "SetStatus": Access.USER}


class MessagingApi(messaging_service_pb2_grpc.MessagingServiceServicer):
    """polychat.chat.v1.MessagingService."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    async def SendMessage(  # noqa: N802 — gRPC's name
        self, request: pb.SendMessageRequest, _context: Context
    ) -> pb.SendMessageResponse:
        return sent_message(await self._sending.send(current_caller().user_id, draft_of(request)))

    async def EditMessage(  # noqa: N802 — gRPC's name
        self, _request: pb.EditMessageRequest, _context: Context
    ) -> pb.EditMessageResponse:
        raise Unimplemented

    async def DeleteMessage(  # noqa: N802 — gRPC's name
        self, _request: pb.DeleteMessageRequest, _context: Context
    ) -> pb.DeleteMessageResponse:
        raise Unimplemented

    async def AddReaction(  # noqa: N802 — gRPC's name
        self, _request: pb.AddReactionRequest, _context: Context
    ) -> pb.AddReactionResponse:
        raise Unimplemented

    async def RemoveReaction(  # noqa: N802 — gRPC's name
        self, _request: pb.RemoveReactionRequest, _context: Context
    ) -> pb.RemoveReactionResponse:
        raise Unimplemented

    async def PinMessage(  # noqa: N802 — gRPC's name
        self, _request: pb.PinMessageRequest, _context: Context
    ) -> pb.PinMessageResponse:
        raise Unimplemented

    async def UnpinMessage(  # noqa: N802 — gRPC's name
        self, _request: pb.UnpinMessageRequest, _context: Context
    ) -> pb.UnpinMessageResponse:
        raise Unimplemented


class PresenceApi(presence_service_pb2_grpc.PresenceServiceServicer):
    """polychat.chat.v1.PresenceService."""

    async def BatchGetPresence(  # noqa: N802 — gRPC's name
        self, _request: presence_service_pb2.BatchGetPresenceRequest, _context: Context
    ) -> presence_service_pb2.BatchGetPresenceResponse:
        raise Unimplemented

    async def SetStatus(  # noqa: N802 — gRPC's name
        self, _request: presence_service_pb2.SetStatusRequest, _context: Context
    ) -> presence_service_pb2.SetStatusResponse:
        raise Unimplemented
