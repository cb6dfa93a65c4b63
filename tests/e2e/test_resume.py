"""A connection is lost, and the next one goes on where it ended: on any edge, without a silent hole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.support.api import Api, User
from tests.support.peer import Connect

REPLAYED = 200
"""Events of a room that a resume replays; past it there is a `gap`."""


async def _talk(api: Api, users: Sequence[User], room: int, count: int) -> None:
    """So many messages, by all of them, twenty at a time."""
    for start in range(0, count, 20):
        numbers = range(start, min(start + 20, count))
        await asyncio.gather(*(api.send(users[n % len(users)], room, f"{n}") for n in numbers))


async def test_resume_shows_what_was_missed_once(api: Api, people: list[User], connect: Connect) -> None:
    """What was said while the connection was away comes first, in order, then what is said now."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    first = await connect(bert)
    seen = int((await api.send(anna, room, "seen"))["sequence"])
    await first.event(room, seen)
    first.transport.abort()
    await first.closed()
    missed = [int((await api.send(anna, room, f"missed {n}"))["sequence"]) for n in range(5)]
    again = await connect(bert, "binary", {room: seen})
    live = int((await api.send(anna, room, "live"))["sequence"])
    await again.event(room, live)
    assert again.sequences(room) == [*missed, live]


async def test_without_a_cursor_a_room_begins_at_its_head(
    api: Api, people: list[User], connect: Connect
) -> None:
    """No history is pushed to who did not ask for it."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    await api.send(anna, room, "before")
    peer = await connect(bert)
    live = int((await api.send(anna, room, "after"))["sequence"])
    await peer.event(room, live)
    assert peer.sequences(room) == [live]


async def test_the_first_cursor_replays_from_the_beginning(
    api: Api, people: list[User], connect: Connect
) -> None:
    """Cursor 0 shows everything that the user may see; what was before them is a `skip`."""
    anna, bert, *_ = people
    room = await api.create_room(anna)
    await api.send(anna, room, "before bert")
    added = {"roomId": str(room), "userIds": [str(bert.user_id)]}
    await api.call("MembershipService/AddMembers", added, anna)
    head = await api.head(anna, room)
    theirs, hers = await connect(bert, cursors={room: 0}), await connect(anna, cursors={room: 0})
    await theirs.event(room, head)
    await hers.event(room, head)
    assert hers.sequences(room) == [1, 2, 3]
    assert theirs.sequences(room) == [3]
    skips = [f["skip"] for f in theirs.frames if "skip" in f and f["skip"]["roomId"] == str(room)]
    assert skips == [{"roomId": str(room), "fromSequence": "1", "toSequence": "2"}]


async def test_too_much_missed_is_one_gap_that_pages_fill(
    api: Api, people: list[User], connect: Connect
) -> None:
    """More than the server replays: one `gap` up to the head, the pages have it all, live goes on after."""
    anna, bert, cleo, dora = people
    room = await api.create_room(anna, [bert, cleo, dora])
    cursor = await api.head(bert, room)
    head = cursor + REPLAYED + 40
    await _talk(api, [anna, cleo, dora], room, head - cursor)
    peer = await connect(bert, cursors={room: cursor})
    gap = (await peer.until(lambda f: "gap" in f))["gap"]
    assert gap["roomId"] == str(room)
    assert gap["fromSequence"] == str(len(peer.sequences(room)) + cursor + 1)
    assert gap["headSequence"] == str(head)
    assert not gap.get("reset")
    request = {"roomId": str(room), "afterSequence": str(cursor)}
    paged = await api.pages("MessageService/ListEvents", request, bert, "events")
    assert [int(event["sequence"]) for event in paged] == list(range(cursor + 1, head + 1))
    live = int((await api.send(anna, room, "live"))["sequence"])
    await peer.event(room, live)
    assert peer.sequences(room)[-1] == head + 1
    assert sum("gap" in frame for frame in peer.frames) == 1


async def test_a_resume_of_exactly_what_is_replayed_has_no_gap(
    api: Api, people: list[User], connect: Connect
) -> None:
    """The limit itself is still replayed."""
    anna, bert, cleo, dora = people
    room = await api.create_room(anna, [bert, cleo, dora])
    cursor = await api.head(bert, room)
    await _talk(api, [anna, cleo, dora], room, REPLAYED)
    peer = await connect(bert, cursors={room: cursor})
    await peer.event(room, cursor + REPLAYED)
    assert peer.sequences(room) == list(range(cursor + 1, cursor + REPLAYED + 1))
    assert not [f for f in peer.frames if "gap" in f]


async def test_a_cursor_past_the_head_is_a_reset(api: Api, people: list[User], connect: Connect) -> None:
    """As after a restored database: forget the room's copy, then live events go on."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    head = await api.head(bert, room)
    peer = await connect(bert, cursors={room: head + 1000})
    gap = (await peer.until(lambda f: "gap" in f))["gap"]
    assert gap["reset"] is True
    assert gap["headSequence"] == str(head)
    live = int((await api.send(anna, room, "live"))["sequence"])
    await peer.event(room, live)


async def test_cursors_of_foreign_and_unknown_rooms_are_passed_over(
    api: Api, people: list[User], connect: Connect
) -> None:
    """A cursor gives nothing away, and the rest of the hello counts."""
    anna, bert, cleo, _ = people
    theirs, hers = await api.create_room(anna, [bert]), await api.create_room(cleo)
    peer = await connect(cleo, cursors={theirs: 0, 4711: 0, hers: 0})
    await peer.event(hers, 1)
    live = int((await api.send(cleo, hers, "live"))["sequence"])
    await peer.event(hers, live)
    assert str(theirs) not in str(peer.frames) + str(peer.welcome)
    assert "4711" not in {f["gap"]["roomId"] for f in peer.frames if "gap" in f}
