"""One request id is one message, whoever retries, by whatever way (I2); the same for rooms."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.support.api import Api, ApiError, User
from tests.support.edges import edge_of, on_each_edge
from tests.support.peer import Connect, Refused, signed_in
from tests.support.stack import Stack


async def test_a_repeat_on_another_edge_gives_the_same_sent(
    api: Api, stack: Stack, people: list[User]
) -> None:
    """Same sequence, message and time, told as a duplicate; one event for everybody."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    async with on_each_edge(stack) as sockets:
        assert len({edge_of(stack, socket.local_port) for socket in sockets}) == len(sockets) == 2
        request_id = str(uuid.uuid4())
        answers = []
        for socket in sockets:
            async with signed_in(socket, anna.access_token) as peer:
                answers.append(await peer.send(room, "once", request_id))
    assert [answer.pop("duplicate") for answer in answers] == [False, True]
    assert answers[0] == answers[1]
    log = await api.log(bert, room)
    assert [event.get("requestId") for event in log].count(request_id) == 1


async def test_a_repeat_by_every_way_is_one_message(api: Api, people: list[User], connect: Connect) -> None:
    """At the same moment over two sockets and HTTP: one of them made it, the others are told so."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    one, two = await connect(anna), await connect(anna, "binary")
    request_id = str(uuid.uuid4())
    answers = await asyncio.gather(
        *(peer.send(room, "once", request_id) for peer in (one, two) for _ in range(3)),
        api.send(anna, room, "once", request_id),
    )
    assert len({(a["sequence"], a["messageId"], a["createTime"]) for a in answers}) == 1
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 6
    await one.event(room, int(answers[0]["sequence"]))
    assert len([e for e in await api.log(bert, room) if e.get("requestId") == request_id]) == 1


@pytest.mark.parametrize("wire", ["json", "binary", "session"])
async def test_the_same_request_id_with_another_text_is_refused(
    api: Api, people: list[User], connect: Connect, wire: str
) -> None:
    """REQUEST_ID_REUSED, and the first message stays as it was."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    peer = await connect(anna, wire)
    request_id = str(uuid.uuid4())
    sent = await peer.send(room, "first", request_id)
    with pytest.raises(Refused) as refused:
        await peer.send(room, "second", request_id)
    assert (refused.value.code, refused.value.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert refused.value.metadata == {"requestId": request_id}
    assert not refused.value.retryable
    assert await api.head(bert, room) == int(sent["sequence"])


async def test_two_senders_may_use_the_same_request_id(api: Api, people: list[User]) -> None:
    """It names one request of one sender in one room."""
    anna, bert, *_ = people
    one, two = await api.create_room(anna, [bert]), await api.create_room(anna, [bert])
    request_id = str(uuid.uuid4())
    answers = [await api.send(user, room, "same", request_id) for user in (anna, bert) for room in (one, two)]
    assert not any(answer["duplicate"] for answer in answers)
    assert len({answer["messageId"] for answer in answers}) == 4


async def test_create_room_repeated_is_one_room(api: Api, people: list[User]) -> None:
    """At once and later; another title with the same id is refused."""
    anna = people[0]
    request = {"requestId": str(uuid.uuid4()), "title": "Once", "kind": "ROOM_KIND_GROUP"}
    answers = await asyncio.gather(*(api.call("RoomService/CreateRoom", request, anna) for _ in range(5)))
    answers.append(await api.call("RoomService/CreateRoom", request, anna))
    assert len({answer["room"]["roomId"] for answer in answers}) == 1
    assert await api.head(anna, int(answers[0]["room"]["roomId"])) == 1
    with pytest.raises(ApiError) as refused:
        await api.call("RoomService/CreateRoom", request | {"title": "Twice"}, anna)
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_a_direct_room_opened_twenty_times_at_once_is_one(api: Api) -> None:
    """From both sides, while nobody has opened it yet."""
    anna, bert = await api.register("anna"), await api.register("bert")
    pairs = [(anna, bert), (bert, anna)] * 10
    answers = await asyncio.gather(
        *(api.call_again("RoomService/OpenDirectRoom", {"userId": str(b.user_id)}, a) for a, b in pairs)
    )
    rooms = {answer["room"]["roomId"] for answer in answers}
    assert len(rooms) == 1
    room = int(rooms.pop())
    # Whoever joined second does not see the first join (I5): the longer log is the whole one.
    log = max([await api.log(user, room) for user in (anna, bert)], key=len)
    joined = [event["memberJoined"]["membership"]["userId"] for event in log]
    assert sorted(joined) == sorted([str(anna.user_id), str(bert.user_id)])
    assert [event["sequence"] for event in log] == ["1", "2"]


async def test_a_direct_room_with_oneself_or_nobody_is_refused(api: Api, people: list[User]) -> None:
    """SELF_NOT_ALLOWED and USER_NOT_FOUND, and no room is made."""
    anna = await api.register("alone")
    with pytest.raises(ApiError) as oneself:
        await api.call("RoomService/OpenDirectRoom", {"userId": str(anna.user_id)}, anna)
    with pytest.raises(ApiError) as nobody:
        await api.call("RoomService/OpenDirectRoom", {"userId": "4711"}, anna)
    assert (oneself.value.reason, nobody.value.reason) == ("SELF_NOT_ALLOWED", "USER_NOT_FOUND")
    assert (await api.call("RoomService/ListRooms", {}, anna)).get("rooms", []) == []
