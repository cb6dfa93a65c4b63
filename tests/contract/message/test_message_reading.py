"""What members and other processes read of the log."""

from __future__ import annotations

import pytest
from polychat.chat.v1.message_pb2 import Message

from chassis.errors import PageTokenInvalid
from chassis.paging import PageTokens
from services.message.domain import RequestKey
from services.message.errors import MessageNotFound, NotAMember
from services.message.ports import Range, RoomsAsked, StoredEvent
from services.message.use_cases import log_reading
from services.message.use_cases.history import Asked, History
from services.message.use_cases.log_reading import LogReading, Skip
from tests.contract.message.conftest import PARTITION, World
from tests.support.room_log import joined, left, request_id, rooms_of, sent

ROOM, OTHER_ROOM, THIRD_ROOM = rooms_of(PARTITION, 3)
TOKENS = PageTokens(b"key")


async def talk(world: World, messages: int = 10) -> None:
    """User 1 (sequence 1) writes 2 … n+1; then user 2 comes, and user 1 writes once more."""
    world.tape.put(joined(ROOM, 1, 1))
    for number in range(2, messages + 2):
        world.tape.put(sent(ROOM, 1, number))
    world.tape.put(joined(ROOM, 2, 1000))
    world.tape.put(sent(ROOM, 1, 1001))
    await world.write(await world.owner())


def sequences(found: list[StoredEvent] | list[StoredEvent | Skip]) -> list[object]:
    """Sequences of events; a skip is a pair."""
    return [tuple(e) if isinstance(e, Skip) else e.sequence for e in found]


async def all_pages(history: History, asked: Asked) -> list[list[int]]:
    """Every page from the first on."""
    pages, token = [], ""
    while True:
        found, token = await history.events(1, asked._replace(page_token=token))
        pages.append([event.sequence for event in found])
        if not token:
            return pages


async def test_pages_forward_meet_without_hole_or_overlap(world: World) -> None:
    """The oldest first, each page ascending, the last one without a token."""
    await talk(world)
    history = History(world.reader, TOKENS)
    assert await all_pages(history, Asked(ROOM, after_sequence=2, page_size=4)) == [
        [3, 4, 5, 6],
        [7, 8, 9, 10],
        [11, 12, 13],
    ]


async def test_pages_backward_meet_without_hole_or_overlap(world: World) -> None:
    """The newest page first when nothing is said, each page ascending."""
    await talk(world)
    history = History(world.reader, TOKENS)
    assert await all_pages(history, Asked(ROOM, page_size=6)) == [
        [8, 9, 10, 11, 12, 13],
        [2, 3, 4, 5, 6, 7],
        [1],
    ]
    assert await all_pages(history, Asked(ROOM, before_sequence=4, page_size=3)) == [[1, 2, 3]]


async def test_messages_are_paged_by_sequence_and_leave_other_events_out(world: World) -> None:
    """A page of messages has as many messages as asked for, whatever lies between."""
    await talk(world, messages=2)
    history = History(world.reader, TOKENS)
    found, token = await history.messages(1, Asked(ROOM, page_size=2))
    assert [item.sequence for item in found] == [3, 5]
    rest, end = await history.messages(1, Asked(ROOM, page_size=2, page_token=token))
    assert ([item.sequence for item in rest], end) == ([2], "")


async def test_a_member_sees_nothing_from_before_they_came(world: World) -> None:
    """Lists, single messages and replays all begin with their own join."""
    await talk(world, messages=2)
    history = History(world.reader, TOKENS)
    found, _ = await history.events(2, Asked(ROOM, after_sequence=0))
    assert [event.sequence for event in found] == [4, 5]
    assert (await history.message(2, ROOM, 1_001_001)).sequence == 5
    with pytest.raises(MessageNotFound):
        await history.message(2, ROOM, 1_000_002)
    with pytest.raises(MessageNotFound):
        await history.message(2, ROOM, 404)


async def test_who_came_back_sees_both_memberships_and_not_between(world: World) -> None:
    """Pages go over the hole in both directions."""
    world.tape.put_all(
        joined(ROOM, 1, 1), joined(ROOM, 2, 2), left(ROOM, 2, 3), sent(ROOM, 1, 4), joined(ROOM, 2, 5)
    )
    await world.write(await world.owner())
    history = History(world.reader, TOKENS)
    page, token = await history.events(2, Asked(ROOM, after_sequence=0, page_size=2))
    assert [event.sequence for event in page] == [2, 3]
    page, token = await history.events(2, Asked(ROOM, page_size=2, page_token=token))
    assert ([event.sequence for event in page], token) == ([5], "")
    page, _ = await history.events(2, Asked(ROOM))
    assert [event.sequence for event in page] == [2, 3, 5]


async def test_strangers_former_members_and_unknown_rooms_get_the_same_answer(world: World) -> None:
    """Nobody learns from it whether a room exists."""
    await talk(world, messages=1)
    world.tape.put(left(ROOM, 2, 2000))
    await world.write(await world.owner())
    history = History(world.reader, TOKENS)
    for user_id, room_id in ((2, ROOM), (3, ROOM), (1, 424242)):
        for call in (
            history.events(user_id, Asked(room_id)),
            history.messages(user_id, Asked(room_id)),
            history.message(user_id, room_id, 1_000_002),
        ):
            with pytest.raises(NotAMember):
                await call


async def test_a_token_of_another_caller_room_or_method_is_refused(world: World) -> None:
    """A token says where a list goes on and belongs to that list."""
    await talk(world)
    history = History(world.reader, TOKENS)
    _, token = await history.events(1, Asked(ROOM, page_size=2))
    for call in (
        history.events(2, Asked(ROOM, page_token=token)),
        history.events(1, Asked(OTHER_ROOM, page_token=token)),
        history.messages(1, Asked(ROOM, page_token=token)),
    ):
        with pytest.raises(PageTokenInvalid):
            await call


async def test_ranges_come_without_holes(world: World) -> None:
    """Everything for user 0; a skip for what a user may not see; heads of unknown rooms are 0."""
    await talk(world, messages=3)
    world.tape.put(left(ROOM, 2, 2000))
    world.tape.put(sent(ROOM, 1, 2001))
    await world.write(await world.owner())
    found = await LogReading(world.reader).stretches(
        [
            Range(ROOM, 0, 3, 0),
            Range(ROOM, 1, 200, 2),
            Range(424242, 0, 200, 0),
            Range(ROOM, 8, 200, 0),
            Range(ROOM, 0, 200, 99),
            Range(ROOM, 1, 1, 2),
        ]
    )
    assert [head for head, _ in found] == [8, 8, 0, 8, 8, 8]
    assert [sequences(entries) for _, entries in found] == [
        [1, 2, 3],
        [(2, 4), 5, 6, 7, (8, 8)],
        [],
        [],
        [(1, 8)],
        [(2, 4), 5],
    ]
    _, entries = found[1]
    joins = [e.joined_user_id for e in entries if isinstance(e, StoredEvent)]
    leaves = [e.left_user_id for e in entries if isinstance(e, StoredEvent)]
    assert (joins, leaves) == ([2, 0, 0], [0, 0, 2])


async def test_a_range_too_large_for_one_answer_is_cut_and_says_nothing_of_the_rest(world: World) -> None:
    """What is missing is asked for again: no skip takes its place."""
    world.tape.put(joined(ROOM, 1, 1))
    for number in range(2, 122):
        world.tape.put(sent(ROOM, 1, number, "x" * 30_000))
    await world.write(await world.owner())
    (_, entries), (_, other) = await LogReading(world.reader).stretches(
        [Range(ROOM, 0, 200, 0), Range(ROOM, 30, 200, 1)]
    )
    assert sequences(entries) == list(range(1, len(entries) + 1))
    assert 20 < len(entries) < 60
    assert sequences(other) == list(range(31, 31 + len(other)))
    assert sum(len(e.payload) for e in entries if isinstance(e, StoredEvent)) < 1_100_000


async def test_a_users_rooms_most_recently_active_first(world: World) -> None:
    """With receipt, unread and the last message they may see; a page goes on after a position."""
    owner = await world.owner()
    for number, room_id in enumerate((ROOM, OTHER_ROOM, THIRD_ROOM)):
        world.clock.now += 1000
        world.tape.put(joined(room_id, 1, number * 10 + 1))
        world.tape.put(joined(room_id, 2, number * 10 + 2))
        if room_id != THIRD_ROOM:
            world.tape.put(sent(room_id, 2, number * 10 + 3, message_id=900 + number))
        await world.write(owner)
    world.tape.put(left(OTHER_ROOM, 2, 99))
    world.clock.now += 1000
    await world.write(owner)
    reading = LogReading(world.reader)
    ((user, rooms, truncated),) = await reading.user_rooms(RoomsAsked([1], 10, with_last_message=True))
    assert (user, truncated) == (1, False)
    assert [(r.room_id, r.head_sequence, r.read_sequence, r.unread_count) for r in rooms] == [
        (OTHER_ROOM, 4, 1, 1),
        (THIRD_ROOM, 2, 1, 0),
        (ROOM, 3, 1, 1),
    ]
    last = [r.last_message and Message.FromString(r.last_message).message_id for r in rooms]
    assert last == [901, None, 900]
    ((_, page, more),) = await reading.user_rooms(RoomsAsked([1], 1))
    assert (more, page[0].last_message) == (True, None)
    ((_, rest, _),) = await reading.user_rooms(
        RoomsAsked([1], 10, None, page[0].activity_millis, page[0].room_id)
    )
    assert [r.room_id for r in rest] == [THIRD_ROOM, ROOM]
    many = await reading.user_rooms(RoomsAsked([3, 2], 10, room_ids=[OTHER_ROOM, ROOM]))
    assert [(u, [r.room_id for r in rooms]) for u, rooms, _ in many] == [(3, []), (2, [ROOM])]


async def test_a_room_says_where_each_restore_left_it(world: World) -> None:
    """Ascending, and only the restores that it has lived through and after which none went back as far; the
    log says all of them."""
    world.tape.put_all(joined(ROOM, 1, 1), joined(OTHER_ROOM, 1, 11))
    await world.write(await world.owner())
    assert await LogReading(world.reader).log_epochs() == []
    await world.restored(200, {ROOM: 30, OTHER_ROOM: 0})
    await world.restored(100, {ROOM: 40})
    await world.restored(300, {ROOM: 35})
    reading = LogReading(world.reader)
    assert await reading.log_epochs() == [100, 200, 300]
    ((_, rooms, _),) = await reading.user_rooms(RoomsAsked([1], 10))
    assert {room.room_id: list(room.epochs) for room in rooms} == {
        ROOM: [(200, 30), (300, 35)],
        OTHER_ROOM: [(200, 0)],
    }


async def test_too_many_rooms_for_one_answer_are_shared_out_equally(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left without rooms, and who has more is told so."""
    monkeypatch.setattr(log_reading, "MAX_ROOMS", 4)
    for number, room_id in enumerate((ROOM, OTHER_ROOM, THIRD_ROOM)):
        world.tape.put_all(joined(room_id, 1, number * 10 + 1), joined(room_id, 2, number * 10 + 2))
    await world.write(await world.owner())
    found = await LogReading(world.reader).user_rooms(RoomsAsked([1, 2], 3))
    assert [(user, len(rooms), more) for user, rooms, more in found] == [(1, 1, True), (2, 1, True)]
    found = await LogReading(world.reader).user_rooms(RoomsAsked([1], 3))
    assert [(user, len(rooms), more) for user, rooms, more in found] == [(1, 3, False)]


async def test_requests_are_looked_up_for_ever(world: World) -> None:
    """Committed: the first result; another body: refused; unknown: left out."""
    await talk(world, messages=1)
    key = RequestKey(ROOM, 1, request_id(2))
    body_hash = sent(ROOM, 1, 2).body_hash
    outcomes = await LogReading(world.reader).outcomes(
        [(key, body_hash, 5), (key, b"?" * 16, 6), (key._replace(room_id=OTHER_ROOM), body_hash, 7)]
    )
    assert [(o.correlation, o.disposition.name, o.sequence, o.message_id, o.reason) for o in outcomes] == [
        (5, "DUPLICATE", 2, 1_000_002, ""),
        (6, "REJECTED", 0, 0, "REQUEST_ID_REUSED"),
    ]
