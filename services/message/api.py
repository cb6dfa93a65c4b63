"""The public services: requests in, answers out. Decides nothing."""

from __future__ import annotations

from polychat.chat.v1.message_pb2 import Message
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.message.v1 import (
    message_service_pb2,
    message_service_pb2_grpc,
    receipt_service_pb2,
    receipt_service_pb2_grpc,
)
from polychat.message.v1.receipt_pb2 import Receipt

from chassis.caller import current_caller
from chassis.errors import Unimplemented
from chassis.grpc_server import GrpcService
from chassis.interceptors import Access, Context
from services.message.use_cases.history import Asked, History
from services.message.use_cases.receipts import Receipts


class MessageApi(message_service_pb2_grpc.MessageServiceServicer):
    """polychat.message.v1.MessageService."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def GetMessage(  # noqa: N802 — gRPC's name
        self, request: message_service_pb2.GetMessageRequest, _context: Context
    ) -> message_service_pb2.GetMessageResponse:
        found = await self._history.message(current_caller().user_id, request.room_id, request.message_id)
        return message_service_pb2.GetMessageResponse(message=Message.FromString(found.payload))

    async def ListMessages(  # noqa: N802 — gRPC's name
        self, request: message_service_pb2.ListMessagesRequest, _context: Context
    ) -> message_service_pb2.ListMessagesResponse:
        found, token = await self._history.messages(current_caller().user_id, _asked(request))
        return message_service_pb2.ListMessagesResponse(
            messages=[Message.FromString(item.payload) for item in found], next_page_token=token
        )

    async def ListEvents(  # noqa: N802 — gRPC's name
        self, request: message_service_pb2.ListEventsRequest, _context: Context
    ) -> message_service_pb2.ListEventsResponse:
        found, token = await self._history.events(current_caller().user_id, _asked(request))
        return message_service_pb2.ListEventsResponse(
            events=[RoomEvent.FromString(item.payload) for item in found], next_page_token=token
        )

    async def ListThread(  # noqa: N802 — gRPC's name
        self, _request: message_service_pb2.ListThreadRequest, _context: Context
    ) -> message_service_pb2.ListThreadResponse:
        raise Unimplemented

    async def SearchMessages(  # noqa: N802 — gRPC's name
        self, _request: message_service_pb2.SearchMessagesRequest, _context: Context
    ) -> message_service_pb2.SearchMessagesResponse:
        raise Unimplemented


class ReceiptApi(receipt_service_pb2_grpc.ReceiptServiceServicer):
    """polychat.message.v1.ReceiptService."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts

    async def AdvanceReceipt(  # noqa: N802 — gRPC's name
        self, request: receipt_service_pb2.AdvanceReceiptRequest, _context: Context
    ) -> receipt_service_pb2.AdvanceReceiptResponse:
        user_id = current_caller().user_id
        sequence = await self._receipts.advance(user_id, request.room_id, request.read_sequence)
        return receipt_service_pb2.AdvanceReceiptResponse(
            receipt=Receipt(room_id=request.room_id, user_id=user_id, read_sequence=sequence)
        )

    async def ListReceipts(  # noqa: N802 — gRPC's name
        self, request: receipt_service_pb2.ListReceiptsRequest, _context: Context
    ) -> receipt_service_pb2.ListReceiptsResponse:
        found, token = await self._receipts.page(
            current_caller().user_id, request.room_id, request.page_size, request.page_token
        )
        return receipt_service_pb2.ListReceiptsResponse(
            receipts=[
                Receipt(room_id=request.room_id, user_id=user_id, read_sequence=sequence)
                for user_id, sequence in found
            ],
            next_page_token=token,
        )


def _asked(request: message_service_pb2.ListMessagesRequest | message_service_pb2.ListEventsRequest) -> Asked:
    cursor = request.WhichOneof("cursor")
    return Asked(
        room_id=request.room_id,
        after_sequence=request.after_sequence if cursor == "after_sequence" else None,
        before_sequence=request.before_sequence if cursor == "before_sequence" else None,
        page_size=request.page_size,
        page_token=request.page_token,
    )


def message_service(history: History) -> GrpcService:
    """MessageService, for users only."""
    descriptor = message_service_pb2.DESCRIPTOR.services_by_name["MessageService"]
    return GrpcService(
        descriptor,
        message_service_pb2_grpc.add_MessageServiceServicer_to_server,
        MessageApi(history),
        {
            "GetMessage": Access.USER,
            "ListMessages": Access.USER,
            "ListEvents": Access.USER,
            "ListThread": Access.USER,
            "SearchMessages": Access.USER,
        },
    )


def receipt_service(receipts: Receipts) -> GrpcService:
    """ReceiptService, for users only."""
    descriptor = receipt_service_pb2.DESCRIPTOR.services_by_name["ReceiptService"]
    return GrpcService(
        descriptor,
        receipt_service_pb2_grpc.add_ReceiptServiceServicer_to_server,
        ReceiptApi(receipts),
        {"AdvanceReceipt": Access.USER, "ListReceipts": Access.USER},
    )
