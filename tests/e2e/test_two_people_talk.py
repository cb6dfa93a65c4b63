"""Two people talk over every wire, and all wires show the same log."""

from __future__ import annotations

import uuid

import grpc.aio
import pytest
from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest
from polychat.chat.v1.messaging_service_pb2_grpc import MessagingServiceStub

from tests.support.api import Api, User
from tests.support.peer import Connect
from tests.support.stack import Stack

WIRES = ("json", "binary", "session")


async def _send_by_grpc(address: str, user: User, room: int, text: str) -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await MessagingServiceStub(channel).SendMessage(
            SendMessageRequest(room_id=room, request_id=str(uuid.uuid4()), text=text),
            metadata=[("authorization", f"Bearer {user.access_token}")],
            timeout=10,
        )
        return int(answer.sequence)


async def test_every_wire_shows_the_same_events(
    api: Api, stack: Stack, people: list[User], connect: Connect
) -> None:
    """What is said by WebSocket, gRPC stream, gRPC call and HTTP arrives everywhere, alike and in order."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    peers = [await connect(user, wire) for wire in WIRES for user in (anna, bert)]
    said = [int((await peer.send(room, f"hello {n}"))["sequence"]) for n, peer in enumerate(peers)]
    said.append(await _send_by_grpc(stack.grpc_address("chat"), anna, room, "straight to chat"))
    said.append(await _send_by_grpc(stack.grpc_address("edge"), bert, room, "through the edge"))
    said.append(int((await api.send(anna, room, "over HTTP"))["sequence"]))
    assert said == list(range(said[0], said[0] + len(said)))
    for peer in peers:
        await peer.event(room, said[-1])
        assert peer.sequences(room) == said
    stored = {int(event["sequence"]): event for event in await api.log(bert, room)}
    for peer in peers:
        assert [f["event"] for f in peer.frames if "event" in f] == [stored[s] for s in said]


@pytest.mark.parametrize("wire", WIRES)
async def test_sent_means_stored(api: Api, people: list[User], connect: Connect, wire: str) -> None:
    """The message is in the history under the sequence and id that `sent` told, when it is told."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    sent = await (await connect(anna, wire)).send(room, "kept 𝄞")
    assert sent["duplicate"] is False
    found = await api.call(
        "MessageService/GetMessage", {"roomId": str(room), "messageId": sent["messageId"]}, bert
    )
    message = found["message"]
    assert (message["text"], message["sequence"]) == ("kept 𝄞", sent["sequence"])
    assert message["senderUserId"] == str(anna.user_id)
    assert message["createTime"] == sent["createTime"]


async def test_the_author_gets_the_event_too(api: Api, people: list[User], connect: Connect) -> None:
    """With the request id, so that a client can match it with what it shows already."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    peer = await connect(anna)
    request_id = str(uuid.uuid4())
    sent = await peer.send(room, "mine", request_id)
    event = await peer.event(room, int(sent["sequence"]))
    assert event["requestId"] == request_id
    assert event["actorUserId"] == str(anna.user_id)
    assert event["messageCreated"]["message"]["text"] == "mine"


async def test_welcome_tells_limits_and_rooms(api: Api, people: list[User], connect: Connect) -> None:
    """The limits of the contract, and each room with its head, receipt and unread."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    await api.send(anna, room, "one")
    peer = await connect(bert)
    assert peer.welcome["userId"] == str(bert.user_id)
    assert peer.welcome["limits"] == {"frameBytes": 65536, "textBytes": 16384, "inFlight": 32}
    assert peer.welcome["heartbeat"] == "25s"
    state = next(r for r in peer.welcome["rooms"] if r["roomId"] == str(room))
    assert state["headSequence"] == "3"
    assert state["unreadCount"] == 1


async def test_typing_reaches_the_others(api: Api, people: list[User], connect: Connect) -> None:
    """Who is typing is told to the others in the room, and to nobody else."""
    anna, bert, cleo, _ = people
    room = await api.create_room(anna, [bert])
    writer, reader, outsider = await connect(anna), await connect(bert, "binary"), await connect(cleo)
    await writer.transport.send({"typing": {"roomId": str(room)}})
    frame = await reader.until(lambda f: "typing" in f)
    assert frame["typing"] == {"roomId": str(room), "userId": str(anna.user_id)}
    await outsider.ask({"receipt": {"roomId": str(await api.create_room(cleo)), "readSequence": "1"}})
    assert not [f for f in outsider.frames + writer.frames if "typing" in f]


async def test_calls_work_inside_the_connection(people: list[User], connect: Connect) -> None:
    """Any public method by `call`, on every wire, with the same words."""
    anna, bert, *_ = people
    rooms = set()
    for wire in WIRES:
        peer = await connect(anna, wire)
        answer = await peer.call("RoomService/OpenDirectRoom", {"userId": str(bert.user_id)})
        assert answer["room"]["kind"] == "ROOM_KIND_DIRECT"
        rooms.add(answer["room"]["roomId"])
    assert len(rooms) == 1
