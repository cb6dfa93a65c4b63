"""Rooms, memberships and the outbox: the same promises in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from polychat.event.v1.room_event_pb2 import RoomEvent

from chassis.errors import Failure
from services.chat import domain
from services.chat.domain import Change, Crowd, NewRoom, Role, Room, RoomKind, State
from tests.contract.chat.conftest import ANN, BOB, EVE, NOW, Stores, entering


async def test_a_room_comes_back_as_it_was_made(stores: Stores) -> None:
    """With its owner's membership and one row in the outbox."""
    new = stores.group()
    made = await stores.store.create_room(new, ANN, uuid.uuid4().bytes, b"hash", stores.origin)
    assert made is not None
    assert await stores.store.room(new.room.room_id) == new.room
    (listed,) = await stores.store.list_memberships(new.room.room_id, 0, 10)
    assert (listed.user_id, listed.role, listed.state, listed.join_time) == (
        ANN,
        Role.OWNER,
        State.JOINED,
        NOW,
    )
    (row,) = made.entries
    assert (row.entry.room_id, row.entry.sender_user_id, row.reply_to) == (new.room.room_id, 0, "chat-1")


async def test_a_request_id_makes_one_room_for_ever(stores: Stores) -> None:
    """Twenty at once and one later: one room, written once; another body is refused."""
    key = uuid.uuid4().bytes
    made = await asyncio.gather(
        *(stores.store.create_room(stores.group(), ANN, key, b"hash", stores.origin) for _ in range(20))
    )
    assert len({m.room.room_id for m in made if m is not None}) == 1
    assert sum(bool(m.entries) for m in made if m is not None) == 1
    assert all(m is not None and m.memberships[ANN].joined for m in made)
    assert await stores.store.create_room(stores.group(), ANN, key, b"other", stores.origin) is None
    other = await stores.store.create_room(stores.group(BOB), BOB, key, b"hash", stores.origin)
    assert other is not None
    assert other.entries


async def test_twenty_opens_from_both_sides_make_one_room(stores: Stores) -> None:
    """The pair is a constraint, not a check; the losers get the winner's room and write nothing."""
    low, high = stores.id(), stores.id()

    def new() -> NewRoom:
        room = Room(stores.id(), RoomKind.DIRECT, "", NOW, direct_users=(low, high))
        return domain.new_room(room, [low, high])

    opened = await asyncio.gather(*(stores.store.open_direct_room(new(), stores.origin) for _ in range(20)))
    assert len({o.room.room_id for o in opened}) == 1
    assert sorted(len(o.entries) for o in opened) == [0] * 19 + [2]
    assert {o.room.direct_users for o in opened} == {(low, high)}
    room_id = opened[0].room.room_id
    assert len(await stores.store.list_memberships(room_id, 0, 10)) == 2
    assert (await stores.store.rooms([room_id]))[room_id].direct_users == (low, high)


async def test_a_refused_change_leaves_nothing_behind(stores: Stores) -> None:
    """The rule sees the locked room; what it raises ends the transaction."""
    room_id = await stores.made()
    depth = await stores.outbox.depth()

    def refuse(room: Room | None, crowd: Crowd) -> list[Change]:
        assert room is not None
        assert (room.room_id, crowd.members, crowd.owners) == (room_id, 1, 1)
        return domain.leave(room, Crowd(crowd.memberships, 2, 1), room_id, ANN)

    with pytest.raises(Failure) as raised:
        await stores.store.change(room_id, [ANN], refuse, stores.origin)
    assert raised.value.reason == "LAST_OWNER"
    assert await stores.outbox.depth() == depth
    assert (await stores.store.memberships([(room_id, ANN)]))[(room_id, ANN)].joined


async def test_a_change_of_a_room_that_is_not_there_is_the_rules_to_refuse(stores: Stores) -> None:
    """It is asked without a room."""

    def decide(room: Room | None, crowd: Crowd) -> list[Change]:
        return domain.leave(room, crowd, 5, EVE)

    with pytest.raises(Failure, match="not a member"):
        await stores.store.change(5, [EVE], decide, stores.origin)


async def test_concurrent_changes_of_a_room_take_turns(stores: Stores) -> None:
    """Twenty joins of one user write one membership and one event."""
    room_id = await stores.made()
    changed = await asyncio.gather(
        *(stores.store.change(room_id, [BOB], entering(room_id, BOB), stores.origin) for _ in range(20))
    )
    assert sum(len(c.entries) for c in changed) == 1
    assert all(c.memberships[BOB].joined for c in changed)


async def test_members_are_listed_in_the_order_they_came(stores: Stores) -> None:
    """Page by page; who leaves is gone from the list and comes back at its end."""
    room_id = await stores.made()
    for user_id in (BOB, EVE, 4):
        await stores.store.change(room_id, [user_id], entering(room_id, user_id), stores.origin)

    def leaving(room: Room | None, crowd: Crowd) -> list[Change]:
        return domain.leave(room, crowd, room_id, BOB)

    await stores.store.change(room_id, [BOB], leaving, stores.origin)
    assert [m.user_id for m in await stores.store.list_memberships(room_id, 0, 10)] == [ANN, EVE, 4]
    back = await stores.store.change(room_id, [BOB], entering(room_id, BOB), stores.origin)
    assert back.memberships[BOB].version == 3
    seen, after = [], 0
    while page := await stores.store.list_memberships(room_id, after, 3):
        seen += [m.user_id for m in page]
        after = page[-1].join_number
    assert seen == [ANN, EVE, 4, BOB]


async def test_public_rooms_are_listed_the_newest_first(stores: Stores) -> None:
    """Groups are not; the page starts below the id that is given."""
    public = [await stores.made(kind=RoomKind.PUBLIC) for _ in range(3)]
    await stores.made()
    newest = await stores.store.public_rooms(2**63 - 1, 2)
    assert [room.room_id for room in newest] == [public[2], public[1]]
    assert (await stores.store.public_rooms(public[1], 1))[0].room_id == public[0]


async def test_an_event_names_the_room_for_newcomers(stores: Stores) -> None:
    """A memberJoined carries the room as the newcomer sees it."""
    low, high = stores.id(), stores.id()
    room = Room(stores.id(), RoomKind.DIRECT, "", NOW, direct_users=(low, high))
    opened = await stores.store.open_direct_room(domain.new_room(room, [low, high]), stores.origin)
    events = [RoomEvent.FromString(row.entry.event) for row in opened.entries]
    assert [e.member_joined.room.direct_user_id for e in events] == [high, low]
    assert [e.member_joined.membership.user_id for e in events] == [low, high]
