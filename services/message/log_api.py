"""LogReadService: what other processes of the system ask about the log."""

from __future__ import annotations

from collections.abc import Callable

from polychat.chat.v1.message_pb2 import Message
from polychat.internal.log.v1 import log_read_service_pb2, log_read_service_pb2_grpc
from polychat.internal.log.v1.record_pb2 import EventRecord, RoomHead

from chassis.errors import InvalidField
from chassis.grpc_server import GrpcService
from chassis.interceptors import Access, Context
from services.message.domain import RequestKey
from services.message.events import outcome_of, timestamp_of
from services.message.ports import Range, RoomOfUser, RoomsAsked, StoredEvent
from services.message.use_cases.log_reading import LogReading, Skip

MAX_RANGES = 100
MAX_RANGE_EVENTS = 200
MAX_USERS = 500
MAX_ROOMS_A_USER = 1000
MAX_HEADS = 5000
MAX_REQUESTS = 1000


class LogReadApi(log_read_service_pb2_grpc.LogReadServiceServicer):
    """polychat.internal.log.v1.LogReadService."""

    def __init__(self, reading: LogReading, now_millis: Callable[[], int]) -> None:
        self._reading = reading
        self._now_millis = now_millis

    async def ReadEvents(  # noqa: N802 — gRPC's name
        self, request: log_read_service_pb2.ReadEventsRequest, _context: Context
    ) -> log_read_service_pb2.ReadEventsResponse:
        _at_most("ranges", len(request.ranges), MAX_RANGES)
        ranges = [
            Range(r.room_id, r.after_sequence, _within("limit", r.limit, MAX_RANGE_EVENTS), r.user_id)
            for r in request.ranges
        ]
        found = await self._reading.stretches(ranges)
        return log_read_service_pb2.ReadEventsResponse(
            stretches=[
                log_read_service_pb2.LogStretch(
                    room_id=asked.room_id,
                    head_sequence=head,
                    entries=[_entry(asked.room_id, entry) for entry in entries],
                )
                for asked, (head, entries) in zip(ranges, found, strict=True)
            ]
        )

    async def ListUserRooms(  # noqa: N802 — gRPC's name
        self, request: log_read_service_pb2.ListUserRoomsRequest, _context: Context
    ) -> log_read_service_pb2.ListUserRoomsResponse:
        _at_most("user_ids", len(request.user_ids), MAX_USERS)
        asked = RoomsAsked(
            user_ids=list(request.user_ids),
            limit=_within("limit", request.limit, MAX_ROOMS_A_USER),
            before_activity=request.before_activity,
            before_room_id=request.before_room_id,
            with_last_message=request.with_last_message,
            room_ids=list(request.room_ids) or None,
        )
        # First: rooms of a newer log under an older epoch cost a reset too many, never one too few.
        log_epochs = await self._reading.log_epochs()
        found = await self._reading.user_rooms(asked)
        ended = await self._reading.ended(asked.user_ids) if request.with_ended else {}
        return log_read_service_pb2.ListUserRoomsResponse(
            users=[
                log_read_service_pb2.UserRooms(
                    user_id=user_id,
                    rooms=[_room(room) for room in rooms],
                    truncated=truncated,
                    ended=[
                        log_read_service_pb2.EndedMembership(**one._asdict())
                        for one in ended.get(user_id, ())
                    ],
                )
                for user_id, rooms, truncated in found
            ],
            log_epochs=log_epochs,
        )

    async def BatchGetHeads(  # noqa: N802 — gRPC's name
        self, request: log_read_service_pb2.BatchGetHeadsRequest, _context: Context
    ) -> log_read_service_pb2.BatchGetHeadsResponse:
        _at_most("room_ids", len(request.room_ids), MAX_HEADS)
        found = await self._reading.heads(list(request.room_ids))
        return log_read_service_pb2.BatchGetHeadsResponse(
            heads=[RoomHead(room_id=room_id, head_sequence=head) for room_id, head in found.items()]
        )

    async def LookupRequests(  # noqa: N802 — gRPC's name
        self, request: log_read_service_pb2.LookupRequestsRequest, _context: Context
    ) -> log_read_service_pb2.LookupRequestsResponse:
        _at_most("keys", len(request.keys), MAX_REQUESTS)
        outcomes = await self._reading.outcomes(
            [
                (RequestKey(k.room_id, k.sender_user_id, k.request_id), k.body_hash, k.correlation)
                for k in request.keys
            ]
        )
        return log_read_service_pb2.LookupRequestsResponse(
            outcomes=[outcome_of(outcome) for outcome in outcomes],
            read_time=timestamp_of(self._now_millis()),
        )


def log_read_service(reading: LogReading, now_millis: Callable[[], int]) -> GrpcService:
    """LogReadService, for processes of the system only."""
    descriptor = log_read_service_pb2.DESCRIPTOR.services_by_name["LogReadService"]
    return GrpcService(
        descriptor,
        log_read_service_pb2_grpc.add_LogReadServiceServicer_to_server,
        LogReadApi(reading, now_millis),
        {
            "ReadEvents": Access.INTERNAL,
            "ListUserRooms": Access.INTERNAL,
            "BatchGetHeads": Access.INTERNAL,
            "LookupRequests": Access.INTERNAL,
        },
    )


def _entry(room_id: int, entry: StoredEvent | Skip) -> log_read_service_pb2.LogEntry:
    if isinstance(entry, Skip):
        return log_read_service_pb2.LogEntry(sequence=entry.sequence, to_sequence=entry.to_sequence)
    return log_read_service_pb2.LogEntry(
        sequence=entry.sequence,
        to_sequence=entry.sequence,
        event=EventRecord(
            room_id=room_id,
            sequence=entry.sequence,
            event=entry.payload,
            joined_user_ids=[entry.joined_user_id] if entry.joined_user_id else (),
            left_user_ids=[entry.left_user_id] if entry.left_user_id else (),
        ),
    )


def _room(room: RoomOfUser) -> log_read_service_pb2.UserRoom:
    return log_read_service_pb2.UserRoom(
        room_id=room.room_id,
        head_sequence=room.head_sequence,
        read_sequence=room.read_sequence,
        unread_count=room.unread_count,
        joined_sequence=room.joined_sequence,
        activity=room.activity_millis,
        last_message=None if room.last_message is None else Message.FromString(room.last_message),
        epochs=[
            log_read_service_pb2.RoomEpoch(epoch=one.epoch, head_sequence=one.head_sequence)
            for one in room.epochs
        ],
    )


def _at_most(field: str, count: int, most: int) -> None:
    if count > most:
        raise InvalidField(field, f"at most {most}, not {count}")


def _within(field: str, value: int, most: int) -> int:
    if not 1 <= value <= most:
        raise InvalidField(field, f"1 to {most}, not {value}")
    return value
