"""Every member gets every event it may see, in order, once (I4, I5): resume, lost hints, coming and going."""

from __future__ import annotations

from tests.support.edge_client import Client, Here, client, until
from tests.support.edge_world import message_event


async def sequences(connected: Client, count: int) -> list[int]:
    """The next events' sequences."""
    return [int((await connected.event())["event"]["sequence"]) for _ in range(count)]


async def nothing_more(connected: Client) -> None:
    """What was sent before a request would have come before its reply."""
    await connected.ask(ping={})
    assert connected.events == []


# ---- resume -----------------------------------------------------------------------------------


async def test_resume_from_message(here: Here) -> None:
    """The first connection to a room finds no ring: what it missed is read from the log."""
    here.world.room(7, 1, 2)
    for _ in range(5):
        here.world.say(7, 2)
    async with client(here, 1, {7: 3}) as ada:
        assert ada.welcome["rooms"][0]["headSequence"] == "7"
        assert await sequences(ada, 4) == [4, 5, 6, 7]
        here.world.say(7, 2)
        assert await sequences(ada, 1) == [8]
        await nothing_more(ada)
    assert here.value("resumes_total", result="replayed") == 1


async def test_the_head_in_welcome_goes_with_its_count(here: Here) -> None:
    """Chat counted before the edge heard of two more: they are not in the count, and follow (I6)."""
    here.world.room(7, 1, 2)
    async with client(here, 2) as ben:
        stale = here.world.log.rooms_of(1)
        here.world.say(7, 2)
        here.world.say(7, 2)
        assert await sequences(ben, 2) == [3, 4]
        here.world.log.rooms_of = lambda user_id: stale  # type: ignore[method-assign]
        async with client(here, 1) as ada, client(here, 1, {7: 3}) as ada_resumed:
            state = ada.welcome["rooms"][0]
            assert (state["headSequence"], state["unreadCount"]) == ("2", 1)
            assert await sequences(ada, 2) == [3, 4]
            assert await sequences(ada_resumed, 1) == [4]
            await nothing_more(ada)
            await nothing_more(ada_resumed)


async def test_resume_from_the_ring(here: Here) -> None:
    """What others here were sent is replayed without asking message."""
    here.world.room(7, 1, 2)
    async with client(here, 2) as ben:
        for _ in range(5):
            here.world.say(7, 2)
        assert await sequences(ben, 5) == [3, 4, 5, 6, 7]
        here.world.reads.clear()
        async with client(here, 1, {7: 4}) as ada:
            assert await sequences(ada, 3) == [5, 6, 7]
            await nothing_more(ada)
    assert here.world.reads == []


async def test_a_cursor_at_the_head_gets_nothing(here: Here) -> None:
    here.world.room(7, 1)
    async with client(here, 1, {7: 1}) as ada:
        await nothing_more(ada)
    assert here.value("resumes_total", result="full") == 1


async def test_no_cursor_begins_at_the_head(here: Here) -> None:
    here.world.room(7, 1)
    here.world.say(7, 1)
    async with client(here, 1) as ada:
        await nothing_more(ada)
        here.world.say(7, 1)
        assert await sequences(ada, 1) == [3]


async def test_too_much_missed_is_one_gap(here: Here) -> None:
    here.world.room(7, 1)
    for _ in range(300):
        here.world.log.append(7, message_event(1, "x"))
    async with client(here, 1, {7: 1}) as ada:
        gap = await ada.event()
        assert gap == {"gap": {"roomId": "7", "fromSequence": "2", "headSequence": "301"}}
        here.world.say(7, 1)
        assert await sequences(ada, 1) == [302]
    assert here.value("resumes_total", result="gap") == 1


async def test_a_connection_is_replayed_5000_events_and_no_more(here: Here) -> None:
    """Past the budget of the connection, the rooms that are left get a gap each."""
    for room_id in range(1, 28):
        here.world.room(room_id, 1)
        for _ in range(199):
            here.world.log.append(room_id, message_event(1, "x"))
    async with client(here, 1, dict.fromkeys(range(1, 28), 1)) as ada:
        frames = [await ada.event() for _ in range(25 * 199 + 2)]
    gaps = [frame for frame in frames if "gap" in frame]
    assert len(gaps) == 2
    assert len(frames) - len(gaps) == 25 * 199


async def test_a_cursor_past_the_head_is_reset(here: Here) -> None:
    """A restored database: forget the copy and load it again."""
    here.world.room(7, 1)
    async with client(here, 1, {7: 50}) as ada:
        gap = (await ada.event())["gap"]
        assert (gap["headSequence"], gap["reset"]) == ("1", True)
        here.world.say(7, 1)
        assert await sequences(ada, 1) == [2]


async def test_what_one_may_not_see_is_a_skip(here: Here) -> None:
    """Left and come back: the stretch between is skipped, not shown and not silent."""
    here.world.room(7, 1, 2)
    here.world.leave(7, 1)
    here.world.say(7, 2)
    here.world.say(7, 2)
    here.world.join(7, 1)
    async with client(here, 1, {7: 2}) as ada:
        assert await sequences(ada, 1) == [3]
        assert await ada.event() == {"skip": {"roomId": "7", "fromSequence": "4", "toSequence": "5"}}
        assert await sequences(ada, 1) == [6]
        await nothing_more(ada)


async def test_the_ring_is_not_for_those_who_were_away(here: Here) -> None:
    """Another member's ring holds events from a time the user was out: they do not come from it."""
    here.world.room(7, 1, 2)
    async with client(here, 2) as ben:
        here.world.leave(7, 1)
        here.world.say(7, 2, "secret")
        here.world.join(7, 1)
        assert await sequences(ben, 3) == [3, 4, 5]
        async with client(here, 1, {7: 2}) as ada:
            frames = [await ada.event() for _ in range(3)]
            assert "skip" in frames[1]
            assert "secret" not in str(frames)
            await nothing_more(ada)


async def test_a_cursor_of_a_foreign_room_is_passed_over(here: Here) -> None:
    here.world.room(7, 2)
    async with client(here, 1, {7: 0}) as ada:
        await nothing_more(ada)
        here.world.say(7, 2)
        await nothing_more(ada)


async def test_events_while_a_replay_is_under_way(here: Here) -> None:
    """Live events do not overtake the replay, and none is lost between the two."""
    here.world.room(7, 1, 2)
    for _ in range(5):
        here.world.say(7, 2)
    here.world.read_gate.clear()
    async with client(here, 1, {7: 2}) as ada:
        await until(lambda: bool(here.world.reads))
        for _ in range(3):
            here.world.say(7, 2)
        await nothing_more(ada)
        here.world.read_gate.set()
        assert await sequences(ada, 8) == [3, 4, 5, 6, 7, 8, 9, 10]
        await nothing_more(ada)


async def test_leaving_while_a_replay_is_under_way(here: Here) -> None:
    """The replay ends with the leaving, and nothing after it is shown."""
    here.world.room(7, 1, 2)
    here.world.say(7, 2)
    here.world.read_gate.clear()
    async with client(here, 1, {7: 2}) as ada, client(here, 2) as ben:
        await until(lambda: bool(here.world.reads))
        here.world.leave(7, 1)
        here.world.say(7, 2, "secret")
        assert await sequences(ben, 2) == [4, 5]
        here.world.read_gate.set()
        assert await sequences(ada, 2) == [3, 4]
        here.world.say(7, 2, "secret")
        assert await sequences(ben, 1) == [6]
        await nothing_more(ada)


# ---- lost hints ---------------------------------------------------------------------------------


async def test_a_lost_hint_shows_with_the_next_event(here: Here) -> None:
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        here.world.lose_hints = True
        here.world.say(7, 1)
        here.world.say(7, 1)
        here.world.lose_hints = False
        here.world.say(7, 1)
        assert await sequences(ada, 3) == [2, 3, 4]
        await nothing_more(ada)


async def test_the_last_lost_hint_shows_with_the_heads(here: Here) -> None:
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        here.world.lose_hints = True
        here.world.say(7, 1)
        here.chat.heads(7)
        assert await sequences(ada, 1) == [2]
        assert here.value("holes_fetched_total") == 1


async def test_a_hole_is_fetched_once_for_all_members(here: Here) -> None:
    here.world.room(7, 1, 2, 3)
    async with client(here, 1) as ada, client(here, 2) as ben, client(here, 3) as cai:
        here.world.reads.clear()
        here.world.lose_hints = True
        here.world.say(7, 1)
        here.world.lose_hints = False
        here.world.say(7, 1)
        here.world.say(7, 1)
        for person in (ada, ben, cai):
            assert await sequences(person, 3) == [4, 5, 6]
        assert len(here.world.reads) == 1


async def test_duplicates_and_reordered_hints(here: Here) -> None:
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        here.world.lose_hints = True
        records = [here.world.log.append(7, message_event(1, str(number))) for number in range(4)]
        for record in (records[1], records[0], records[0], records[3], records[2], records[1]):
            here.chat.tell(events=[record])
        assert await sequences(ada, 4) == [2, 3, 4, 5]
        await nothing_more(ada)


async def test_a_hole_of_a_thousand_is_filled(here: Here) -> None:
    """Page by page, in order."""
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        here.world.lose_hints = True
        for _ in range(1000):
            here.world.say(7, 1)
        here.chat.heads(7)
        assert await sequences(ada, 1000) == list(range(2, 1002))
