"""chat's services on a real grpc.aio server, over memory stores."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from polychat.chat.v1 import membership_service_pb2 as membership_pb
from polychat.chat.v1 import messaging_service_pb2 as messaging_pb
from polychat.chat.v1 import presence_service_pb2 as presence_pb
from polychat.chat.v1 import room_pb2
from polychat.chat.v1 import room_service_pb2 as room_pb
from polychat.chat.v1.membership_service_pb2_grpc import MembershipServiceStub
from polychat.chat.v1.messaging_service_pb2_grpc import MessagingServiceStub
from polychat.chat.v1.presence_service_pb2_grpc import PresenceServiceStub
from polychat.chat.v1.room_service_pb2_grpc import RoomServiceStub
from polychat.internal.link.v1.link_service_pb2 import AttachRequest, AttachResponse, OpenConnection, Send
from polychat.internal.link.v1.link_service_pb2_grpc import LinkServiceStub
from polychat.internal.log.v1.record_pb2 import EventRecord

from chassis.caller import INTERNAL_CREDENTIAL, Caller
from chassis.config import ProcessSettings
from chassis.errors import TokenInvalid
from chassis.grpc_server import serve_grpc
from chassis.paging import PageTokens
from chassis.run import Process
from chassis.status import from_rpc_error
from services.chat.api import Apis, grpc_services
from services.chat.draining import drain
from services.chat.hub import Hub
from services.chat.links import LinkParts
from services.chat.placement import Placement
from services.chat.typing_signals import TypingSignals
from tests.support.chat_world import World, running
from tests.support.eventually import eventually

CREDENTIAL = "internal-secret-of-this-test"
INTERNAL = ((INTERNAL_CREDENTIAL, CREDENTIAL),)
ANN, BOB, EVE = 1, 2, 3


def user(user_id: int) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer token-{user_id}"),)


class Tokens:
    """Knows `token-<user>`."""

    async def verify(self, token: str) -> Caller:
        name, _, user_id = token.partition("-")
        if name != "token":
            raise TokenInvalid
        return Caller(int(user_id), 100 + int(user_id), token, 2_000_000_000.0)


class Server:
    """A chat that listens on a port, and stubs to it."""

    def __init__(self, folder: Path) -> None:
        secret = folder / "internal"
        secret.write_text(CREDENTIAL)
        settings = ProcessSettings(
            instance="chat-1",
            grpc_port=0,
            consul_addr="http://127.0.0.1:1",
            internal_credential_file=secret,
            drain_seconds=0.2,
        )
        self.process = Process("chat", settings)
        self.world = World()
        self.hub = Hub(lambda _rooms, _wanted: None)
        self.world.log.publish = lambda event: self.hub.pass_events([event])
        typing = TypingSignals(self.hub, self._publish, self.world.time)
        placement = Placement(self.hub, self.world.log)
        clock = asyncio.get_running_loop().time
        self.apis = Apis.of(
            rooms=self.world.rooms,
            memberships=self.world.memberships,
            sending=self.world.sending,
            link=LinkParts(self.hub, self.world.sending, placement, Tokens(), typing, self.world.time),
            tokens=PageTokens(b"k" * 32),
            instance="chat-1",
            clock=clock,
        )

    async def _publish(self, _hints: object) -> None:
        return None

    async def open(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(running(self.world.members.run))
        verifier: Any = Tokens()
        server = await stack.enter_async_context(serve_grpc(self.process, grpc_services(self.apis), verifier))
        self.channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{server.port}"))
        self.rooms = RoomServiceStub(self.channel)
        self.memberships = MembershipServiceStub(self.channel)
        self.messaging = MessagingServiceStub(self.channel)
        self.presence = PresenceServiceStub(self.channel)
        self.link = LinkServiceStub(self.channel)

    async def group(self) -> int:
        request = room_pb.CreateRoomRequest(request_id=str(uuid.uuid4()), title="Team")
        return (await self.rooms.CreateRoom(request, metadata=user(ANN))).room.room_id


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        made = Server(tmp_path)
        await made.open(stack)
        yield made


async def failure_of(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    failure = from_rpc_error(raised.value)
    return str(failure.code), failure.reason


def message(room_id: int, text: str = "hi", request_id: str = "") -> messaging_pb.SendMessageRequest:
    return messaging_pb.SendMessageRequest(
        room_id=room_id, request_id=request_id or str(uuid.uuid4()), text=text
    )


async def test_a_room_is_made_talked_in_and_listed(server: Server) -> None:
    """The way of a first use, with what lists tell and single rooms do not."""
    room_id = await server.group()
    sent = await server.messaging.SendMessage(message(room_id), metadata=user(ANN))
    assert (sent.room_id, sent.sequence, sent.HasField("duplicate"), sent.duplicate) == (
        room_id,
        2,
        True,
        False,
    )
    room = (await server.rooms.GetRoom(room_pb.GetRoomRequest(room_id=room_id), metadata=user(ANN))).room
    assert (room.title, room.kind, room.HasField("head_sequence")) == (
        "Team",
        room_pb2.ROOM_KIND_GROUP,
        False,
    )
    (listed,) = (await server.rooms.ListRooms(room_pb.ListRoomsRequest(), metadata=user(ANN))).rooms
    assert (listed.head_sequence, listed.HasField("read_sequence")) == (2, True)


async def test_pages_go_on_with_their_own_token_only(server: Server) -> None:
    """Another caller's, another room's and a changed token are refused."""
    first, second = await server.group(), await server.group()
    for room_id in (first, second):
        request = membership_pb.AddMembersRequest(room_id=room_id, user_ids=[BOB, EVE])
        await server.memberships.AddMembers(request, metadata=user(ANN))
    seen: list[int] = []
    token = ""
    while True:
        page = await server.memberships.ListMemberships(
            membership_pb.ListMembershipsRequest(room_id=first, page_size=2, page_token=token),
            metadata=user(ANN),
        )
        seen += [m.user_id for m in page.memberships]
        if not page.next_page_token:
            break
        token = page.next_page_token
    assert seen == [ANN, BOB, EVE]
    for room_id, caller, shown in (
        (second, ANN, token),
        (first, BOB, token),
        (first, ANN, token[:-2] + "AA"),
    ):
        call = server.memberships.ListMemberships(
            membership_pb.ListMembershipsRequest(room_id=room_id, page_token=shown), metadata=user(caller)
        )
        assert await failure_of(call) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
    rooms = await server.rooms.ListRooms(room_pb.ListRoomsRequest(page_size=1), metadata=user(ANN))
    following = await server.rooms.ListRooms(
        room_pb.ListRoomsRequest(page_size=1, page_token=rooms.next_page_token), metadata=user(ANN)
    )
    assert {rooms.rooms[0].room_id, following.rooms[0].room_id} == {first, second}
    assert following.next_page_token == ""


ROOM_METHODS: dict[str, Callable[[Server, int], Any]] = {
    "GetRoom": lambda s, r: s.rooms.GetRoom(room_pb.GetRoomRequest(room_id=r), metadata=user(EVE)),
    "JoinRoom": lambda s, r: s.memberships.JoinRoom(
        membership_pb.JoinRoomRequest(room_id=r), metadata=user(EVE)
    ),
    "LeaveRoom": lambda s, r: s.memberships.LeaveRoom(
        membership_pb.LeaveRoomRequest(room_id=r), metadata=user(EVE)
    ),
    "AddMembers": lambda s, r: s.memberships.AddMembers(
        membership_pb.AddMembersRequest(room_id=r, user_ids=[EVE]), metadata=user(EVE)
    ),
    "RemoveMember": lambda s, r: s.memberships.RemoveMember(
        membership_pb.RemoveMemberRequest(room_id=r, user_id=ANN), metadata=user(EVE)
    ),
    "ListMemberships": lambda s, r: s.memberships.ListMemberships(
        membership_pb.ListMembershipsRequest(room_id=r), metadata=user(EVE)
    ),
    "SendMessage": lambda s, r: s.messaging.SendMessage(message(r), metadata=user(EVE)),
}


@pytest.mark.parametrize("method", list(ROOM_METHODS))
async def test_outsiders_cannot_tell_a_hidden_room_from_none(server: Server, method: str) -> None:
    """Same code, same reason, nothing changed."""
    room_id = await server.group()
    before = server.world.kinds(room_id)
    expected = ("PERMISSION_DENIED", "ROOM_NOT_PUBLIC" if method == "JoinRoom" else "NOT_A_MEMBER")
    for asked in (room_id, 4_711):
        assert await failure_of(ROOM_METHODS[method](server, asked)) == expected
    assert server.world.kinds(room_id) == before


async def test_what_is_not_built_says_so(server: Server) -> None:
    """And nobody gets there without a token."""
    calls: list[tuple[Any, Any]] = [
        (server.rooms.UpdateRoom, room_pb.UpdateRoomRequest(room_id=7)),
        (server.rooms.ArchiveRoom, room_pb.ArchiveRoomRequest(room_id=7)),
        (server.memberships.BanMember, membership_pb.BanMemberRequest(room_id=7, user_id=8)),
        (server.messaging.EditMessage, messaging_pb.EditMessageRequest(room_id=7, message_id=8, text="x")),
        (server.presence.SetStatus, presence_pb.SetStatusRequest()),
    ]
    for method, request in calls:
        assert await failure_of(method(request, metadata=user(ANN))) == ("UNIMPLEMENTED", "UNIMPLEMENTED")
        assert await failure_of(method(request)) == ("UNAUTHENTICATED", "TOKEN_MISSING")


class Edge:
    """The edge's end of a link."""

    def __init__(self, server: Server, name: str = "edge-1") -> None:
        self.call: Any = server.link.Attach(metadata=INTERNAL)
        self.name = name
        self.frames: list[AttachResponse] = []

    async def say(self, **fields: Any) -> None:
        await self.call.write(AttachRequest(edge_instance=self.name, **fields))

    async def hear(self, field: str, count: int = 1) -> list[Any]:
        """Reads until so many of a field came."""
        async with asyncio.timeout(10):
            while len(self.all(field)) < count:
                frame = await self.call.read()
                assert frame is not grpc.aio.EOF
                self.frames.append(frame)
        return self.all(field)

    async def ended(self) -> bool:
        """Reads to the end."""
        async with asyncio.timeout(10):
            try:
                while await self.call.read() is not grpc.aio.EOF:
                    continue
            except grpc.aio.AioRpcError:
                return True
        return True

    def all(self, field: str) -> list[Any]:
        return [item for frame in self.frames for item in getattr(frame, field)]


def opening(connection_id: int, user_id: int) -> OpenConnection:
    return OpenConnection(connection_id=connection_id, access_token=f"token-{user_id}")


async def test_an_edge_attaches_opens_sends_and_hears(server: Server) -> None:
    """One malformed send is answered like any other, and the link lives."""
    room_id = await server.group()
    edge = Edge(server)
    await edge.say(open=[opening(5, ANN)])
    (opened,) = await edge.hear("opened")
    assert [room.room_id for room in opened.rooms] == [room_id]
    assert edge.frames[0].chat_instance == "chat-1"
    bad = message(room_id, text="")
    await edge.say(sends=[Send(connection_id=5, tag=1, request=bad)])
    await edge.say(sends=[Send(connection_id=5, tag=2, request=message(room_id))])
    outcomes = {o.tag: o for o in await edge.hear("outcomes", 2)}
    assert outcomes[1].failure.code == "INVALID_ARGUMENT"
    assert outcomes[2].sent.sequence == 2
    assert [event.sequence for event in await edge.hear("events")] == [2]
    edge.call.cancel()


async def test_only_the_systems_own_processes_may_attach(server: Server) -> None:
    """A user's token is no internal credential; an edge must have a name."""
    for metadata in ((), user(ANN)):
        call = server.link.Attach(metadata=metadata)
        assert await failure_of(call.read()) == ("PERMISSION_DENIED", "INTERNAL_CALLER_REQUIRED")
    call = server.link.Attach(metadata=INTERNAL)
    await call.write(AttachRequest())
    assert await failure_of(call.read()) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_an_edge_that_ends_its_stream_is_forgotten(server: Server) -> None:
    """However it ends."""
    await server.group()
    for leave in ("done_writing", "cancel"):
        edge = Edge(server)
        await edge.say(open=[opening(5, ANN)])
        await edge.hear("opened")
        assert set(server.hub.users) == {ANN}
        result = getattr(edge.call, leave)()
        if asyncio.iscoroutine(result):
            await result
            assert await edge.ended()
        await eventually(lambda: _true(not server.hub.edges and not server.hub.users), seconds=5)


async def test_a_second_stream_of_the_same_edge_replaces_the_first(server: Server) -> None:
    """The first ends; the second serves."""
    room_id = await server.group()
    first, second = Edge(server), Edge(server)
    await first.say(open=[opening(5, ANN)])
    await first.hear("opened")
    await second.say(open=[opening(6, ANN)])
    await second.hear("opened")
    assert await first.ended()
    await server.messaging.SendMessage(message(room_id), metadata=user(ANN))
    assert [event.sequence for event in await second.hear("events")] == [2]
    assert len(server.hub.edges) == 1
    second.call.cancel()


async def test_an_edge_that_does_not_read_loses_its_stream(server: Server) -> None:
    """Memory is bounded; the edge attaches anew and compares heads."""
    room_id = await server.group()
    server.apis.link._max_bytes = 1_000_000
    edge = Edge(server)
    await edge.say(open=[opening(5, ANN)])
    await edge.hear("opened")
    sequence = 1
    while server.hub.edges and sequence < 1000:
        for _ in range(10):
            sequence += 1
            server.hub.pass_events([EventRecord(room_id=room_id, sequence=sequence, event=b"x" * 50_000)])
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
    assert not server.hub.edges
    assert await edge.ended()


async def test_draining_sends_the_edges_elsewhere_and_answers_what_is_pending(server: Server) -> None:
    """An outcome that comes while draining still reaches its edge; who attaches now is told at once."""
    room_id = await server.group()
    edge = Edge(server)
    await edge.say(open=[opening(5, ANN)])
    await edge.hear("opened")
    server.world.log.hold = True
    await edge.say(sends=[Send(connection_id=5, tag=1, request=message(room_id))])
    await eventually(lambda: _true(len(server.world.pending) == 1), seconds=5)
    server.apis.link.draining = True
    draining = asyncio.ensure_future(drain(server.hub, server.world.pending, 10.0))
    late = Edge(server, "edge-2")
    await late.say()
    assert (await late.call.read()).draining
    late.call.cancel()
    server.world.log.release()
    (outcome,) = await edge.hear("outcomes")
    assert outcome.sent.sequence == 2
    assert any(frame.draining for frame in edge.frames)
    assert not draining.done()
    edge.call.cancel()
    await draining


async def test_draining_does_not_wait_for_ever(server: Server) -> None:
    """An edge that stays is cut off when the time is over."""
    edge = Edge(server)
    await edge.say()
    await edge.call.read()
    await drain(server.hub, server.world.pending, 0.05)
    assert await edge.ended()


async def _true(value: bool) -> bool:
    return value
