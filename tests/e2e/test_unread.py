"""Unread is subtraction: messages in the room minus messages up to the receipt (I6)."""

from __future__ import annotations

import pytest

from tests.support.api import Api, ApiError, Json, User
from tests.support.peer import Connect, Refused


async def _listed(api: Api, user: User, room: int) -> Json:
    rooms = await api.pages("RoomService/ListRooms", {}, user, "rooms")
    return next(r for r in rooms if r["roomId"] == str(room))


async def _read(api: Api, user: User, room: int, sequence: int) -> int:
    request = {"roomId": str(room), "readSequence": str(sequence)}
    answer = await api.call("ReceiptService/AdvanceReceipt", request, user)
    return int(answer["receipt"]["readSequence"])


async def test_unread_counts_messages_after_the_receipt(api: Api, people: list[User]) -> None:
    """Joins are events and no messages; a receipt in the middle leaves the rest."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    sent = [int((await api.send(anna, room, f"{n}"))["sequence"]) for n in range(4)]
    assert (await _listed(api, bert, room))["unreadCount"] == 4
    assert await _read(api, bert, room, sent[1]) == sent[1]
    listed = await _listed(api, bert, room)
    assert (listed["unreadCount"], listed["readSequence"]) == (2, str(sent[1]))
    assert listed["lastMessage"]["text"] == "3"
    assert (await _listed(api, anna, room))["unreadCount"] == 0


async def test_a_receipt_never_goes_back(api: Api, people: list[User]) -> None:
    """An older one changes nothing and succeeds; the answer says where it is."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    sent = [int((await api.send(anna, room, f"{n}"))["sequence"]) for n in range(3)]
    assert await _read(api, bert, room, sent[2]) == sent[2]
    assert await _read(api, bert, room, sent[0]) == sent[2]
    assert (await _listed(api, bert, room))["unreadCount"] == 0


async def test_a_receipt_past_the_head_is_refused(api: Api, people: list[User], connect: Connect) -> None:
    """RECEIPT_PAST_HEAD by call as by frame, and the receipt stays."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    head = int((await api.send(anna, room, "one"))["sequence"])
    peer = await connect(bert)
    with pytest.raises(ApiError) as called:
        await _read(api, bert, room, head + 1)
    with pytest.raises(Refused) as framed:
        await peer.ask({"receipt": {"roomId": str(room), "readSequence": str(head + 1)}})
    for error in (called.value, framed.value):
        assert error.reason == "RECEIPT_PAST_HEAD"
        assert error.metadata["headSequence"] == str(head)
    assert (await _listed(api, bert, room))["unreadCount"] == 1


async def test_the_own_send_is_read_by_its_sender(api: Api, people: list[User]) -> None:
    """And with it everything before, in the same transaction."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    await api.send(anna, room, "question")
    own = await api.send(bert, room, "answer")
    listed = await _listed(api, bert, room)
    assert (listed["unreadCount"], listed["readSequence"]) == (0, own["sequence"])
    assert (await _listed(api, anna, room))["unreadCount"] == 1


async def test_a_receipt_is_shown_to_the_others_and_kept(
    api: Api, people: list[User], connect: Connect
) -> None:
    """By frame: the reader gets `ok`, the others a `receipt`, and ListReceipts has it."""
    anna, bert, cleo, _ = people
    room = await api.create_room(anna, [bert])
    head = int((await api.send(anna, room, "read me"))["sequence"])
    reader, watcher, outsider = await connect(bert), await connect(anna, "binary"), await connect(cleo)
    answer = await reader.ask({"receipt": {"roomId": str(room), "readSequence": str(head)}})
    assert "ok" in answer
    frame = await watcher.until(lambda f: "receipt" in f)
    shown = {"roomId": str(room), "userId": str(bert.user_id), "readSequence": str(head)}
    assert frame["receipt"] == shown
    listed = await api.pages("ReceiptService/ListReceipts", {"roomId": str(room)}, anna, "receipts")
    assert shown in listed
    assert not [f for f in outsider.frames if "receipt" in f]


async def test_welcome_counts_as_the_list_does(api: Api, people: list[User], connect: Connect) -> None:
    """One truth: the same numbers at once after the last message."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    for number in range(3):
        await api.send(anna, room, f"{number}")
    peer = await connect(bert)
    state = next(r for r in peer.welcome["rooms"] if r["roomId"] == str(room))
    listed = await _listed(api, bert, room)
    for field in ("headSequence", "readSequence", "unreadCount"):
        assert state[field] == listed[field]
