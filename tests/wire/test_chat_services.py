"""chat's services on a real grpc.aio server, over memory stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from polychat.chat.v1 import membership_service_pb2 as membership_pb
from polychat.chat.v1 import messaging_service_pb2 as messaging_pb
from polychat.chat.v1 import presence_service_pb2 as presence_pb
from polychat.chat.v1 import room_pb2
from polychat.chat.v1 import room_service_pb2 as room_pb

from tests.support.chat_server import ANN, BOB, EVE, Server, failure_of, message, user


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        made = Server(tmp_path)
        await made.open(stack)
        yield made


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
