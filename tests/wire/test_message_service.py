"""The message service's methods over a real grpc.aio server, on the log in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import grpc
import grpc.aio
import pytest
from polychat.internal.log.v1 import log_read_service_pb2 as internal_pb2
from polychat.internal.log.v1.log_read_service_pb2_grpc import LogReadServiceStub
from polychat.internal.log.v1.record_pb2 import DISPOSITION_DUPLICATE
from polychat.message.v1 import message_service_pb2 as message_pb2
from polychat.message.v1 import receipt_service_pb2 as receipt_pb2
from polychat.message.v1.message_service_pb2_grpc import MessageServiceStub
from polychat.message.v1.receipt_service_pb2_grpc import ReceiptServiceStub

from chassis.caller import Caller, internal_metadata
from chassis.config import ProcessSettings
from chassis.errors import Code, Failure, TokenInvalid
from chassis.grpc_server import serve_grpc
from chassis.paging import PageTokens
from chassis.run import Process
from chassis.status import from_rpc_error
from services.message.api import message_service, receipt_service
from services.message.log_api import log_read_service
from services.message.memory import MemoryLog
from services.message.use_cases.history import History
from services.message.use_cases.log_reading import LogReading
from services.message.use_cases.receipts import Receipts
from services.message.use_cases.sequencing import Sequencer
from tests.support.room_log import Tape, joined, request_id, rooms_of, sent

PARTITION = 5
(ROOM,) = rooms_of(PARTITION, 1)
ONE = (("authorization", "Bearer 1"),)
STRANGER = (("authorization", "Bearer 9"),)
INTERNAL = internal_metadata("internal-secret-of-this-test")


class TokenIsUser:
    """A token is the user's id."""

    async def verify(self, token: str) -> Caller:
        if not token.isdigit():
            raise TokenInvalid
        return Caller(int(token), 1, token, 0.0)


class Quiet:
    """Nobody listens to signals."""

    async def receipt_moved(self, room_id: int, user_id: int, read_sequence: int) -> None:
        """Nobody hears it."""


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """The three services; user 1 joined ROOM at 1 and wrote 2 … 4, user 2 joined at 5."""
    log = MemoryLog()
    tape = Tape(PARTITION)
    tape.put_all(joined(ROOM, 1, 1), sent(ROOM, 1, 2), sent(ROOM, 1, 3), sent(ROOM, 1, 4), joined(ROOM, 2, 5))
    owner = Sequencer(log, lambda: 1_500)
    await owner.claim([PARTITION])
    await owner.process({PARTITION: tape.batch(0)})
    secret = tmp_path / "internal"
    secret.write_text("internal-secret-of-this-test")
    settings = ProcessSettings(
        instance="message-1",
        grpc_port=0,
        consul_addr="http://127.0.0.1:1",
        internal_credential_file=secret,
        drain_seconds=0.2,
    )
    tokens = PageTokens(b"key")
    services = [
        message_service(History(log, tokens)),
        receipt_service(Receipts(log, Quiet(), tokens)),
        log_read_service(LogReading(log), lambda: 2_000),
    ]
    async with (
        serve_grpc(Process("message", settings), services, TokenIsUser()) as server,  # type: ignore[arg-type]
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as opened,
    ):
        yield opened


async def failure(call: Awaitable[object]) -> Failure:
    """How a call failed."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return from_rpc_error(raised.value)


async def test_events_and_messages_are_listed_whole(channel: grpc.aio.Channel) -> None:
    """Ascending, with times, inside the page asked for; messages say room, sequence and time themselves."""
    stub = MessageServiceStub(channel)
    events = await stub.ListEvents(
        message_pb2.ListEventsRequest(room_id=ROOM, after_sequence=0, page_size=2), metadata=ONE
    )
    assert [event.sequence for event in events.events] == [1, 2]
    assert events.events[1].create_time.ToMilliseconds() == 1_500
    rest = await stub.ListEvents(
        message_pb2.ListEventsRequest(room_id=ROOM, page_size=5, page_token=events.next_page_token),
        metadata=ONE,
    )
    assert ([event.sequence for event in rest.events], rest.next_page_token) == ([3, 4, 5], "")
    newest = await stub.ListMessages(message_pb2.ListMessagesRequest(room_id=ROOM, page_size=2), metadata=ONE)
    assert [message.sequence for message in newest.messages] == [3, 4]
    found = await stub.GetMessage(
        message_pb2.GetMessageRequest(room_id=ROOM, message_id=1_000_003), metadata=ONE
    )
    assert (found.message.room_id, found.message.sequence, found.message.message_number) == (ROOM, 3, 2)


async def test_after_nothing_is_the_beginning_and_no_cursor_is_the_end(channel: grpc.aio.Channel) -> None:
    """A cursor of 0 is a cursor."""
    stub = MessageServiceStub(channel)
    for request, expected in (
        (message_pb2.ListMessagesRequest(room_id=ROOM, page_size=1, after_sequence=0), [2]),
        (message_pb2.ListMessagesRequest(room_id=ROOM, page_size=1), [4]),
        (message_pb2.ListMessagesRequest(room_id=ROOM, page_size=1, before_sequence=4), [3]),
    ):
        answer = await stub.ListMessages(request, metadata=ONE)
        assert [message.sequence for message in answer.messages] == expected


async def test_strangers_are_told_that_they_are_no_members(channel: grpc.aio.Channel) -> None:
    """Of this room and of one that is not there alike."""
    stub = MessageServiceStub(channel)
    for room_id in (ROOM, 424_242):
        refused = await failure(
            stub.ListEvents(message_pb2.ListEventsRequest(room_id=room_id), metadata=STRANGER)
        )
        assert (refused.code, refused.reason) == (Code.PERMISSION_DENIED, "NOT_A_MEMBER")
        assert refused.metadata == {"roomId": str(room_id)}


async def test_shape_and_credential_are_checked_before_anything(channel: grpc.aio.Channel) -> None:
    """No room, too large a page, no token, a user at an internal method, limits of internal ones."""
    messages, internal = MessageServiceStub(channel), LogReadServiceStub(channel)
    heads = internal_pb2.BatchGetHeadsRequest(room_ids=[ROOM])
    for call, reason in (
        (messages.ListEvents(message_pb2.ListEventsRequest(), metadata=ONE), "INVALID_FIELD"),
        (
            messages.ListEvents(message_pb2.ListEventsRequest(room_id=ROOM, page_size=101), metadata=ONE),
            "INVALID_FIELD",
        ),
        (messages.ListEvents(message_pb2.ListEventsRequest(room_id=ROOM)), "TOKEN_MISSING"),
        (
            messages.ListEvents(
                message_pb2.ListEventsRequest(room_id=ROOM, page_token="forged"), metadata=ONE
            ),
            "PAGE_TOKEN_INVALID",
        ),
        (internal.BatchGetHeads(heads, metadata=ONE), "INTERNAL_CALLER_REQUIRED"),
        (
            internal.ListUserRooms(
                internal_pb2.ListUserRoomsRequest(user_ids=range(501), limit=1), metadata=INTERNAL
            ),
            "INVALID_FIELD",
        ),
        (
            internal.ListUserRooms(internal_pb2.ListUserRoomsRequest(user_ids=[1]), metadata=INTERNAL),
            "INVALID_FIELD",
        ),
    ):
        assert (await failure(call)).reason == reason


async def test_what_is_not_built_says_so(channel: grpc.aio.Channel) -> None:
    """Threads and search are in the contract and come later."""
    stub = MessageServiceStub(channel)
    thread = message_pb2.ListThreadRequest(room_id=ROOM, thread_root_message_id=1)
    search = message_pb2.SearchMessagesRequest(room_id=ROOM, query="hi")
    assert (await failure(stub.ListThread(thread, metadata=ONE))).code is Code.UNIMPLEMENTED
    assert (await failure(stub.SearchMessages(search, metadata=ONE))).code is Code.UNIMPLEMENTED


async def test_a_receipt_answers_where_it_is(channel: grpc.aio.Channel) -> None:
    """Forward it moves, back it stays, past the head it is refused; a zero is said aloud."""
    stub = ReceiptServiceStub(channel)
    for asked, expected in ((4, 4), (5, 5), (3, 5)):
        answer = await stub.AdvanceReceipt(
            receipt_pb2.AdvanceReceiptRequest(room_id=ROOM, read_sequence=asked), metadata=ONE
        )
        assert (answer.receipt.read_sequence, answer.receipt.user_id) == (expected, 1)
    refused = await failure(
        stub.AdvanceReceipt(receipt_pb2.AdvanceReceiptRequest(room_id=ROOM, read_sequence=6), metadata=ONE)
    )
    assert (refused.reason, refused.metadata["headSequence"]) == ("RECEIPT_PAST_HEAD", "5")
    listed = await stub.ListReceipts(receipt_pb2.ListReceiptsRequest(room_id=ROOM), metadata=ONE)
    assert [(r.user_id, r.read_sequence) for r in listed.receipts] == [(1, 5), (2, 5)]


async def test_other_processes_read_ranges_rooms_heads_and_requests(channel: grpc.aio.Channel) -> None:
    """With the internal credential; skips are entries without an event."""
    stub = LogReadServiceStub(channel)
    ranges = [internal_pb2.LogRange(room_id=ROOM, after_sequence=3, limit=200, user_id=2)]
    (stretch,) = (
        await stub.ReadEvents(internal_pb2.ReadEventsRequest(ranges=ranges), metadata=INTERNAL)
    ).stretches
    assert [(e.sequence, e.to_sequence, e.HasField("event")) for e in stretch.entries] == [
        (4, 4, False),
        (5, 5, True),
    ]
    assert list(stretch.entries[1].event.joined_user_ids) == [2]
    (rooms,) = (
        await stub.ListUserRooms(
            internal_pb2.ListUserRoomsRequest(user_ids=[1], limit=10, with_last_message=True),
            metadata=INTERNAL,
        )
    ).users
    assert [(r.room_id, r.head_sequence, r.unread_count) for r in rooms.rooms] == [(ROOM, 5, 0)]
    assert rooms.rooms[0].last_message.message_id == 1_000_004
    assert not rooms.ended
    heads = await stub.BatchGetHeads(
        internal_pb2.BatchGetHeadsRequest(room_ids=[ROOM, 424_242]), metadata=INTERNAL
    )
    assert [(head.room_id, head.head_sequence) for head in heads.heads] == [(ROOM, 5)]
    key = internal_pb2.RequestKey(
        room_id=ROOM,
        sender_user_id=1,
        request_id=request_id(3),
        body_hash=sent(ROOM, 1, 3).body_hash,
        correlation=8,
    )
    found = await stub.LookupRequests(internal_pb2.LookupRequestsRequest(keys=[key]), metadata=INTERNAL)
    (outcome,) = found.outcomes
    assert (outcome.correlation, outcome.disposition, outcome.sequence) == (8, DISPOSITION_DUPLICATE, 3)
    assert found.read_time.ToMilliseconds() == 2_000
