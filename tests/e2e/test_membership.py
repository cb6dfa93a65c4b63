"""Nothing of a room reaches anyone who was not its member at that sequence (I5)."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.api import Api, ApiError, Json, User
from tests.support.peer import Connect, Peer, Refused


def _shown(peer: Peer, room: int) -> list[Json]:
    return [f["event"] for f in peer.frames if f.get("event", {}).get("roomId") == str(room)]


async def _remove(api: Api, owner: User, room: int, user: User) -> None:
    await api.call(
        "MembershipService/RemoveMember", {"roomId": str(room), "userId": str(user.user_id)}, owner
    )


async def _add(api: Api, owner: User, room: int, user: User) -> None:
    added = {"roomId": str(room), "userIds": [str(user.user_id)]}
    await api.call("MembershipService/AddMembers", added, owner)


async def test_a_member_sees_from_their_join_to_their_end(
    api: Api, people: list[User], connect: Connect
) -> None:
    """Live: the first event is the own `memberJoined`, the last the own `memberLeft`, none besides."""
    anna, bert, *_ = people
    room = await api.create_room(anna)
    theirs, hers = await connect(bert), await connect(anna, "binary")
    await api.send(anna, room, "before")
    await _add(api, anna, room, bert)
    inside = int((await api.send(anna, room, "inside"))["sequence"])
    await theirs.event(room, inside)
    await _remove(api, anna, room, bert)
    after = int((await api.send(anna, room, "after"))["sequence"])
    await hers.event(room, after)
    await theirs.event(room, after - 1)
    other = await api.create_room(bert)
    await theirs.event(other, 1)
    shown = _shown(theirs, room)
    assert [int(e["sequence"]) for e in shown] == [inside - 1, inside, inside + 1]
    assert shown[0]["memberJoined"]["membership"]["userId"] == str(bert.user_id)
    left = shown[-1]["memberLeft"]
    assert (left["userId"], left["actorUserId"]) == (str(bert.user_id), str(anna.user_id))
    assert left["reason"] == "MEMBER_LEFT_REASON_REMOVED"


async def test_history_holds_the_time_of_membership_only(api: Api, people: list[User]) -> None:
    """After coming back, both stretches and nothing between; while away, nothing at all."""
    anna, bert, *_ = people
    room = await api.create_room(anna)
    await api.send(anna, room, "hidden 1")
    await _add(api, anna, room, bert)
    await api.send(anna, room, "shown 1")
    await _remove(api, anna, room, bert)
    await api.send(anna, room, "hidden 2")
    for method in ("MessageService/ListEvents", "MessageService/ListMessages"):
        with pytest.raises(ApiError) as away:
            await api.call(method, {"roomId": str(room)}, bert)
        assert away.value.reason == "NOT_A_MEMBER"
    await _add(api, anna, room, bert)
    await api.send(anna, room, "shown 2")
    seen = [int(event["sequence"]) for event in await api.log(bert, room)]
    assert seen[-2:] == [7, 8]
    assert not {1, 2, 6} & set(seen)
    messages = await api.pages("MessageService/ListMessages", {"roomId": str(room)}, bert, "messages")
    assert "hidden" not in str(messages)
    assert messages[-1]["text"] == "shown 2"
    listed = await api.pages("RoomService/ListRooms", {}, bert, "rooms")
    assert "hidden" not in str(listed)


async def test_a_hidden_message_cannot_be_fetched_by_its_id(api: Api, people: list[User]) -> None:
    """MESSAGE_NOT_FOUND for what was said before the join, as for what was never said."""
    anna, bert, *_ = people
    room = await api.create_room(anna)
    hidden = await api.send(anna, room, "hidden")
    await _add(api, anna, room, bert)
    reasons = []
    for message_id in (hidden["messageId"], "4711"):
        request = {"roomId": str(room), "messageId": message_id}
        with pytest.raises(ApiError) as refused:
            await api.call("MessageService/GetMessage", request, bert)
        reasons.append((refused.value.code, refused.value.reason))
    assert reasons == [("not_found", "MESSAGE_NOT_FOUND")] * 2


async def test_a_resume_after_the_end_shows_nothing_new(
    api: Api, people: list[User], connect: Connect
) -> None:
    """Removed while away: the cursor of the room brings nothing that was said since."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    cursor = await api.head(bert, room)
    await _remove(api, anna, room, bert)
    await api.send(anna, room, "not for bert")
    own = await api.create_room(bert)
    peer = await connect(bert, cursors={room: cursor, own: 0})
    await peer.event(own, 1)
    assert str(room) not in {r["roomId"] for r in peer.welcome["rooms"]}
    assert "not for bert" not in str(peer.frames)


async def test_a_former_member_cannot_send(api: Api, people: list[User], connect: Connect) -> None:
    """From the moment RemoveMember is answered, on a connection that was there before."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    peer = await connect(bert)
    await peer.send(room, "still here")
    await _remove(api, anna, room, bert)
    head = await api.head(anna, room)
    with pytest.raises(Refused) as refused:
        await peer.send(room, "too late")
    assert (refused.value.code, refused.value.reason) == ("PERMISSION_DENIED", "NOT_A_MEMBER")
    assert await api.head(anna, room) == head


async def test_a_send_that_races_with_the_removal_is_before_it_or_refused(
    api: Api, people: list[User], connect: Connect
) -> None:
    """No message of a former member stands behind their `memberLeft`."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    peer = await connect(bert, "binary")
    results = await asyncio.gather(
        *(peer.send(room, f"{n}") for n in range(10)),
        _remove(api, anna, room, bert),
        *(peer.send(room, f"{n}") for n in range(10, 20)),
        return_exceptions=True,
    )
    log = await api.log(anna, room)
    left = next(int(event["sequence"]) for event in log if "memberLeft" in event)
    sent = [int(r["sequence"]) for r in results if isinstance(r, dict)]
    refusals = {r.reason for r in results if isinstance(r, Refused)}
    assert max(sent, default=0) < left == int(log[-1]["sequence"])
    assert refusals <= {"NOT_A_MEMBER"}
    assert len(sent) + sum(isinstance(r, Refused) for r in results) == 20


async def test_public_rooms_are_open_and_left_again(api: Api, people: list[User], connect: Connect) -> None:
    """Listed, joined twice without harm, left; a private room cannot be joined."""
    anna, bert, *_ = people
    public, private = await api.create_room(anna, public=True), await api.create_room(anna)
    rooms = await api.pages("RoomService/ListPublicRooms", {}, bert, "rooms")
    ids = {room["roomId"] for room in rooms}
    assert str(public) in ids
    assert str(private) not in ids
    peer = await connect(bert)
    for _ in range(2):
        answer = await api.call("MembershipService/JoinRoom", {"roomId": str(public)}, bert)
        assert answer["membership"]["role"] == "ROLE_MEMBER"
    await peer.event(public, 2)
    await api.call("MembershipService/LeaveRoom", {"roomId": str(public)}, bert)
    left = (await peer.event(public, 3))["memberLeft"]
    assert left["reason"] == "MEMBER_LEFT_REASON_LEFT"
    assert await api.head(anna, public) == 3
    with pytest.raises(ApiError) as refused:
        await api.call("MembershipService/JoinRoom", {"roomId": str(private)}, bert)
    assert refused.value.code == "permission_denied"


async def test_the_last_owner_cannot_leave_others_behind(api: Api, people: list[User]) -> None:
    """LAST_OWNER; and a member cannot remove another: ROLE_TOO_LOW."""
    anna, bert, cleo, _ = people
    room = await api.create_room(anna, [bert, cleo])
    head = await api.head(anna, room)
    with pytest.raises(ApiError) as last:
        await api.call("MembershipService/LeaveRoom", {"roomId": str(room)}, anna)
    with pytest.raises(ApiError) as low:
        await _remove(api, bert, room, cleo)
    assert (last.value.reason, low.value.reason) == ("LAST_OWNER", "ROLE_TOO_LOW")
    members = await api.pages("MembershipService/ListMemberships", {"roomId": str(room)}, cleo, "memberships")
    roles = {m["userId"]: m["role"] for m in members if m["state"] == "MEMBERSHIP_STATE_JOINED"}
    assert roles == {
        str(anna.user_id): "ROLE_OWNER",
        str(bert.user_id): "ROLE_MEMBER",
        str(cleo.user_id): "ROLE_MEMBER",
    }
    assert await api.head(anna, room) == head
