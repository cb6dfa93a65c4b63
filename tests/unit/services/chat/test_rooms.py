"""Making, opening, listing rooms and changing their members, over memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest

from chassis.errors import Failure, InvalidField, OutcomeUnknown, RateLimited
from services.chat.domain import RoomKind
from services.chat.sweeper import Sweeper
from services.chat.use_cases.limits import CHANGE_BURST
from services.chat.use_cases.sending import draft
from tests.support.chat_world import World, caller, running, settle

OWNER, MEMBER, STRANGER, NOBODY = 1, 2, 9, 1000


async def make(world: World, kind: RoomKind = RoomKind.GROUP, title: str = "Team") -> int:
    return (await world.rooms.create(caller(OWNER), uuid.uuid4().bytes, title, kind)).room_id


async def test_a_room_is_in_the_log_when_it_is_answered() -> None:
    """Its first event is its owner's memberJoined, so they may send at once."""
    world = World()
    room_id = await make(world)
    assert world.kinds(room_id) == ["member_joined"]
    assert await world.store.depth() == 0


async def test_a_repeated_create_gives_the_first_room() -> None:
    """Also when both run at once; another title under the same request id is refused."""
    world = World()
    key = uuid.uuid4().bytes
    rooms = await asyncio.gather(
        *(world.rooms.create(caller(OWNER), key, "Team", RoomKind.GROUP) for _ in range(5))
    )
    assert len({room.room_id for room in rooms}) == 1
    assert world.kinds(rooms[0].room_id) == ["member_joined"]
    with pytest.raises(Failure) as raised:
        await world.rooms.create(caller(OWNER), key, "Other", RoomKind.GROUP)
    assert raised.value.reason == "REQUEST_ID_REUSED"
    other = await world.rooms.create(caller(MEMBER), key, "Other", RoomKind.GROUP)
    assert other.room_id != rooms[0].room_id


async def test_a_direct_room_is_not_made_by_create() -> None:
    """It would have no pair."""
    with pytest.raises(InvalidField):
        await make(World(), RoomKind.DIRECT)


async def test_twenty_opens_from_both_sides_make_one_direct_room() -> None:
    """Everybody gets the same room, with both in the log."""
    world = World()
    rooms = await asyncio.gather(*(world.rooms.open_direct(caller(1 + n % 2), 2 - n % 2) for n in range(20)))
    assert len({room.room_id for room in rooms}) == 1
    assert world.kinds(rooms[0].room_id) == ["member_joined"] * 2
    assert rooms[0].direct_users == (1, 2)


async def test_a_direct_room_needs_another_user_who_exists() -> None:
    """Oneself and nobody are refused."""
    world = World()
    for user_id, reason in ((OWNER, "SELF_NOT_ALLOWED"), (NOBODY, "USER_NOT_FOUND")):
        with pytest.raises(Failure) as raised:
            await world.rooms.open_direct(caller(OWNER), user_id)
        assert raised.value.reason == reason
        assert raised.value.metadata == {"userId": str(user_id)}


async def test_a_repeat_waits_until_the_first_call_is_through() -> None:
    """Else a client that asked twice could send into a room that the log does not know yet."""
    world = World()
    key = uuid.uuid4().bytes
    world.log.hold = True
    first = asyncio.ensure_future(world.rooms.create(caller(OWNER), key, "Team", RoomKind.GROUP))
    await settle()
    second = asyncio.ensure_future(world.rooms.create(caller(OWNER), key, "Team", RoomKind.GROUP))
    await settle()
    assert not second.done()
    world.log.release()
    assert (await first).room_id == (await second).room_id


async def test_while_the_log_is_stuck_the_outcome_is_unknown_and_the_room_comes() -> None:
    """The change stands: when the log goes on, the same request id gives the room."""
    world = World()
    key = uuid.uuid4().bytes
    world.log.hold = world.log.away = True
    async with running(Sweeper(world.pending, world.log, sleep=world.time.sleep).run):
        with pytest.raises(OutcomeUnknown):
            await world.rooms.create(caller(OWNER), key, "Team", RoomKind.GROUP)
    world.log.away = False
    world.log.release()
    room = await world.rooms.create(caller(OWNER), key, "Team", RoomKind.GROUP)
    assert world.kinds(room.room_id) == ["member_joined"]


async def test_a_repeat_outlasts_a_message_service_that_is_away_for_a_moment() -> None:
    """The room stands, so only its showing is waited for; for ever away is OUTCOME_UNKNOWN."""
    world = World()
    room_id = await make(world, RoomKind.PUBLIC)
    world.log.away = True
    joining = asyncio.ensure_future(world.memberships.join(OWNER, room_id))
    await settle(5)
    assert not joining.done()
    world.log.away = False
    assert (await joining).joined
    world.log.away = True
    with pytest.raises(OutcomeUnknown):
        await world.memberships.join(OWNER, room_id)


async def test_a_relay_that_hangs_delays_nobodys_answer() -> None:
    """The caller waits for the outcome and not for the relay, which may be busy with other rooms."""
    world = World()
    world.relay._append = lambda _rows: asyncio.Event().wait()  # type: ignore[assignment, return-value]
    began = world.time.now
    async with running(Sweeper(world.pending, world.log, sleep=world.time.sleep).run):
        with pytest.raises(OutcomeUnknown):
            await make(world)
    assert world.time.now - began < 6


async def test_who_joins_a_public_room_is_in_the_log() -> None:
    """A second join gives the same membership and no second event."""
    world = World()
    room_id = await make(world, RoomKind.PUBLIC)
    first = await world.memberships.join(STRANGER, room_id)
    assert await world.memberships.join(STRANGER, room_id) == first
    assert world.kinds(room_id) == ["member_joined"] * 2


async def test_coming_and_going_without_end_is_limited() -> None:
    """Each is an event that everybody gets for ever; who waits may go on."""
    world = World()
    room_id = await make(world, RoomKind.PUBLIC)
    for _ in range(CHANGE_BURST // 2):
        await world.memberships.join(STRANGER, room_id)
        await world.memberships.leave(STRANGER, room_id)
    with pytest.raises(RateLimited) as limited:
        await world.memberships.join(STRANGER, room_id)
    world.time.now += limited.value.retry_after or 0.0
    await world.memberships.join(STRANGER, room_id)


async def test_adding_is_all_or_none() -> None:
    """A user who does not exist keeps the others out; those who are in keep their role."""
    world = World()
    room_id = await make(world)
    with pytest.raises(Failure) as raised:
        await world.memberships.add(caller(OWNER), room_id, [MEMBER, NOBODY])
    assert raised.value.reason == "USER_NOT_FOUND"
    assert world.kinds(room_id) == ["member_joined"]
    added = await world.memberships.add(caller(OWNER), room_id, [MEMBER, OWNER, MEMBER])
    assert [(m.user_id, m.role) for m in added] == [(MEMBER, "member"), (OWNER, "owner")]
    assert world.kinds(room_id) == ["member_joined"] * 2


async def test_leaving_and_removing_reach_the_log() -> None:
    """And the last one out may go although they own the room."""
    world = World()
    room_id = await make(world)
    await world.memberships.add(caller(OWNER), room_id, [MEMBER, 3])
    await world.memberships.leave(MEMBER, room_id)
    await world.memberships.leave(MEMBER, room_id)
    with pytest.raises(Failure, match="without an owner"):
        await world.memberships.leave(OWNER, room_id)
    await world.memberships.remove(OWNER, room_id, 3)
    await world.memberships.leave(OWNER, room_id)
    assert world.kinds(room_id) == ["member_joined"] * 3 + ["member_left"] * 3


@pytest.mark.parametrize("method", ["AddMembers", "RemoveMember", "LeaveRoom"])
async def test_a_repeated_change_of_members_waits_until_the_first_is_through(method: str) -> None:
    """Done in chat's tables is not done: the log decides who may send and who hears."""
    world = World()
    room_id = await make(world)
    if method != "AddMembers":
        await world.memberships.add(caller(OWNER), room_id, [MEMBER])
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "AddMembers": lambda: world.memberships.add(caller(OWNER), room_id, [MEMBER]),
        "RemoveMember": lambda: world.memberships.remove(OWNER, room_id, MEMBER),
        "LeaveRoom": lambda: world.memberships.leave(MEMBER, room_id),
    }
    world.log.hold = True
    first = asyncio.ensure_future(changes[method]())
    await settle()
    second = asyncio.ensure_future(changes[method]())
    await settle()
    assert not second.done()
    world.log.release()
    await first
    await second
    assert len(world.kinds(room_id)) == (2 if method == "AddMembers" else 3)


async def test_my_rooms_come_by_activity_page_by_page() -> None:
    """Each once, the most recently active first."""
    world = World()
    async with running(world.members.run):
        rooms = [await make(world) for _ in range(5)]
        await world.sending.send(OWNER, draft(rooms[0], str(uuid.uuid4()), "hi"))
    seen, position = [], (0, 0)
    while True:
        page = await world.rooms.list_mine(OWNER, 2, position)
        seen += [listed.room.room_id for listed in page.rooms]
        if page.next_position is None:
            break
        position = (page.next_position[0], page.next_position[1])
    assert seen == [rooms[0], *reversed(rooms[1:])]


async def test_public_rooms_show_others_only_what_they_may_know() -> None:
    """Everybody sees the head; read and unread only members. Groups are not in the list."""
    world = World()
    await make(world, RoomKind.GROUP)
    public = [await make(world, RoomKind.PUBLIC) for _ in range(3)]
    page = await world.rooms.list_public(STRANGER, 2, 0)
    assert [listed.room.room_id for listed in page.rooms] == [public[2], public[1]]
    assert all(listed.head_sequence == 1 and listed.activity is None for listed in page.rooms)
    assert page.next_position is not None
    last = await world.rooms.list_public(OWNER, 2, page.next_position[0])
    assert [listed.room.room_id for listed in last.rooms] == [public[0]]
    assert last.next_position is None
    assert last.rooms[0].activity is not None


Attempt = Callable[[World, int], Awaitable[object]]
ATTEMPTS: dict[str, Attempt] = {
    "GetRoom": lambda w, r: w.rooms.get(STRANGER, r),
    "JoinRoom": lambda w, r: w.memberships.join(STRANGER, r),
    "LeaveRoom": lambda w, r: w.memberships.leave(STRANGER, r),
    "AddMembers": lambda w, r: w.memberships.add(caller(STRANGER), r, [STRANGER]),
    "AddNobody": lambda w, r: w.memberships.add(caller(STRANGER), r, [NOBODY]),
    "RemoveMember": lambda w, r: w.memberships.remove(STRANGER, r, OWNER),
    "ListMemberships": lambda w, r: w.memberships.list(STRANGER, r, 50, 0),
    "SendMessage": lambda w, r: w.sending.send(STRANGER, draft(r, str(uuid.uuid4()), "hi")),
}


@pytest.mark.parametrize("kind", ["group", "direct", "absent", "left"])
@pytest.mark.parametrize("method", list(ATTEMPTS))
async def test_an_outsider_is_refused_and_changes_nothing(method: str, kind: str) -> None:
    """Absent and hidden rooms answer alike in every method that takes a room id."""
    world = World()
    async with running(world.members.run):
        if kind == "direct":
            room_id = (await world.rooms.open_direct(caller(OWNER), MEMBER)).room_id
        else:
            room_id = 77 if kind == "absent" else await make(world)
        if kind == "left":
            await world.memberships.add(caller(OWNER), room_id, [STRANGER])
            await world.memberships.leave(STRANGER, room_id)
        before = world.kinds(room_id)
        if (method, kind) == ("LeaveRoom", "left"):
            await ATTEMPTS[method](world, room_id)  # it is done already
        else:
            with pytest.raises(Failure) as raised:
                await ATTEMPTS[method](world, room_id)
            expected = "ROOM_NOT_PUBLIC" if method == "JoinRoom" else "NOT_A_MEMBER"
            assert (raised.value.reason, raised.value.metadata) == (expected, {"roomId": str(room_id)})
        assert world.kinds(room_id) == before
