"""One edge's link: tokens, rooms, sends; and its way down, paced and bounded."""

from __future__ import annotations

import asyncio

from polychat.internal.link.v1.link_service_pb2 import (
    ConnectionSignal,
    OpenConnection,
)
from polychat.internal.log.v1.record_pb2 import RoomHint, RoomSignal

from chassis.redis import room_channel
from tests.support.chat_rig import ANN, BOB, Rig, opening, sending
from tests.support.chat_world import settle


async def test_a_connection_is_told_its_rooms(rig: Rig) -> None:
    """With their heads; from then on events come."""
    room_id = await rig.group()
    rig.say(open=[opening(5, ANN)])
    await rig.until("opened")
    (opened,) = rig.said.opened
    assert (opened.connection_id, opened.user_id) == (5, ANN)
    assert [(r.room_id, r.head_sequence) for r in opened.rooms] == [(room_id, 1)]
    rig.say(sends=[sending(5, 1, room_id)])
    await rig.until("outcomes")
    assert [event.sequence for event in rig.said.events] == [2]
    assert rig.said.outcomes[0].sent.sequence == 2


async def test_a_bad_token_is_refused_and_its_sends_with_it(rig: Rig) -> None:
    """The others of the batch are not touched."""
    room_id = await rig.group()
    bad = OpenConnection(connection_id=6, access_token="wrong")
    rig.say(open=[bad, opening(5, ANN)], sends=[sending(6, 1, room_id), sending(5, 2, room_id)])
    await rig.until("outcomes", 2)
    await rig.until("opened", 2)
    opened = {o.connection_id: o for o in rig.said.opened}
    assert opened[6].failure.reason == "TOKEN_INVALID"
    assert not opened[5].HasField("failure")
    outcomes = {o.tag: o for o in rig.said.outcomes}
    assert outcomes[1].failure.code == "UNAUTHENTICATED"
    assert outcomes[2].sent.sequence == 2


async def test_sends_wait_for_the_token_of_their_connection(rig: Rig) -> None:
    """After a new attach the edge opens and sends again in one message; order is kept."""
    room_id = await rig.group()
    rig.tokens.gate.clear()
    rig.say(open=[opening(5, ANN)], sends=[sending(5, n, room_id, str(n)) for n in range(1, 4)])
    await settle()
    assert len(rig.said.outcomes) == 0
    rig.tokens.gate.set()
    await rig.until("outcomes", 3)
    assert [(o.tag, o.sent.sequence) for o in rig.said.outcomes] == [(1, 2), (2, 3), (3, 4)]


async def test_no_more_sends_are_held_than_may_be(rig: Rig) -> None:
    """The bound is above what an edge lets a connection have in flight."""
    room_id = await rig.group()
    rig.tokens.gate.clear()
    rig.say(open=[opening(5, ANN)], sends=[sending(5, n, room_id) for n in range(65)])
    await rig.until("outcomes")
    assert [(o.tag, o.failure.reason) for o in rig.said.outcomes] == [(64, "OVERLOADED")]


async def test_a_connection_closed_while_it_is_opened_is_not_there(rig: Rig) -> None:
    """No answer, no user in the hub."""
    await rig.group()
    rig.tokens.gate.clear()
    rig.say(open=[opening(5, ANN)])
    await settle()
    rig.say(closed_connection_ids=[5])
    await settle()
    rig.tokens.gate.set()
    await settle()
    assert len(rig.said.opened) == 0
    assert set(rig.hub.users) == set()


async def test_what_was_sent_before_a_connection_ended_goes_on(rig: Rig) -> None:
    """The edge gathers: a message and the end of its connection may travel together."""
    room_id = await rig.group()
    rig.say(open=[opening(5, ANN)])
    await rig.until("opened")
    rig.say(sends=[sending(5, 1, room_id)], closed_connection_ids=[5])
    await rig.until("outcomes")
    assert rig.said.outcomes[0].sent.sequence == 2
    assert set(rig.hub.users) == set()


async def test_an_expired_token_may_not_send_until_it_is_refreshed(rig: Rig) -> None:
    """The connection stays and hears; another user's token does not refresh it."""
    room_id = await rig.group()
    rig.tokens.expire_time = rig.wall.now + 10
    rig.say(open=[opening(5, ANN)])
    await rig.until("opened")
    rig.wall.now += 60
    rig.say(sends=[sending(5, 1, room_id)])
    await rig.until("outcomes")
    assert rig.said.outcomes[0].failure.reason == "TOKEN_EXPIRED"
    rig.tokens.expire_time = rig.wall.now + 900
    rig.say(refresh=[opening(5, BOB), opening(5, ANN), opening(77, ANN)])
    await rig.until("refreshed", 3)
    assert [r.failure.reason for r in rig.said.refreshed] == ["TOKEN_INVALID", "", "TOKEN_MISSING"]
    rig.say(sends=[sending(5, 2, room_id)])
    await rig.until("outcomes", 2)
    assert rig.said.outcomes[1].sent.sequence == 2


async def test_a_malformed_or_foreign_send_is_answered_and_the_link_lives(rig: Rig) -> None:
    """One user's mistake is theirs alone."""
    room_id = await rig.group()
    rig.say(open=[opening(5, ANN), opening(6, BOB)])
    await rig.until("opened", 2)
    nobody, malformed = sending(99, 1, room_id), sending(5, 2, room_id)
    malformed.request.request_id = "7"
    rig.say(sends=[nobody, malformed, sending(6, 3, room_id), sending(5, 4, room_id)])
    await rig.until("outcomes", 4)
    told = {o.tag: o.failure.reason for o in rig.said.outcomes}
    assert told == {1: "TOKEN_MISSING", 2: "INVALID_FIELD", 3: "NOT_A_MEMBER", 4: ""}


async def test_while_message_is_away_connections_are_refused_for_now(rig: Rig) -> None:
    """Retryable, and nothing of them stays in the hub."""
    await rig.group()
    rig.world.log.away = True
    rig.say(open=[opening(5, ANN)])
    await rig.until("opened")
    assert rig.said.opened[0].failure.reason == "BACKEND_UNAVAILABLE"
    assert rig.said.opened[0].failure.retryable
    assert rig.said.opened[0].failure.retry_after_millis > 0
    assert set(rig.hub.users) == set()


async def test_who_was_refused_for_now_is_told_so_again(rig: Rig) -> None:
    """The edge keeps its client and opens again in a second; what comes meanwhile is no stranger's."""
    room_id = await rig.group()
    rig.world.log.away = True
    rig.say(open=[opening(5, ANN)])
    await rig.until("opened")
    rig.say(sends=[sending(5, 1, room_id)], refresh=[opening(5, ANN)])
    await rig.until("outcomes")
    await rig.until("refreshed")
    for refusal in (rig.said.outcomes[0].failure, rig.said.refreshed[0].failure):
        assert (refusal.reason, refusal.retryable) == ("BACKEND_UNAVAILABLE", True)
    rig.world.log.away = False
    rig.say(open=[opening(5, ANN)], sends=[sending(5, 2, room_id)])
    await rig.until("outcomes", 2)
    assert rig.said.outcomes[1].HasField("sent")
    rig.say(closed_connection_ids=[5], sends=[sending(5, 3, room_id)])
    rig.say(sends=[sending(5, 4, room_id)])
    await rig.until("outcomes", 4)
    assert {o.tag: o.failure.reason for o in rig.said.outcomes}[4] == "TOKEN_MISSING"


async def test_heads_that_could_not_be_read_are_read_later(rig: Rig) -> None:
    """What was committed since the list was read may have shown itself before anybody here listened."""
    room_id = await rig.group()
    read = rig.world.log.all_rooms

    async def then_away(user_ids):  # type: ignore[no-untyped-def]
        lists = await read(user_ids)
        rig.world.log.away = True
        return lists

    rig.world.log.all_rooms = then_away  # type: ignore[method-assign]
    rig.say(open=[opening(5, ANN)])
    await rig.until("opened")
    assert not rig.said.opened[0].HasField("failure")
    assert rig.hub.uncompared == {room_id}


async def test_who_comes_while_rooms_are_read_shares_the_next_read(rig: Rig) -> None:
    """However many messages brought them: in a storm every connection is a message of its own."""
    await rig.group()
    reads: list[int] = []
    first = asyncio.Event()
    read = rig.world.log.all_rooms

    async def counted(user_ids):  # type: ignore[no-untyped-def]
        reads.append(len(user_ids))
        if len(reads) == 1:
            await first.wait()
        return await read(user_ids)

    rig.world.log.all_rooms = counted  # type: ignore[method-assign]
    for number in range(1, 51):
        rig.say(open=[opening(number, ANN if number == 1 else BOB)])
        await settle()
    first.set()
    await rig.until("opened", 50)
    assert reads == [1, 1]


async def test_rooms_of_who_left_while_waiting_are_not_read(rig: Rig) -> None:
    """In a storm the edge gives up on some; work for them would keep the others waiting."""
    await rig.group()
    reads: list[list[int]] = []
    first = asyncio.Event()
    read = rig.world.log.all_rooms

    async def counted(user_ids):  # type: ignore[no-untyped-def]
        reads.append(list(user_ids))
        await first.wait()
        return await read(user_ids)

    rig.world.log.all_rooms = counted  # type: ignore[method-assign]
    rig.say(open=[opening(5, ANN)])
    await settle()
    rig.say(open=[opening(6, BOB)])
    await settle()
    rig.say(closed_connection_ids=[6])
    await settle()
    first.set()
    await rig.until("opened")
    await settle()
    assert [users for users in reads if users] == [[ANN]]


async def test_typing_goes_to_members_at_most_every_three_seconds(rig: Rig) -> None:
    """Its user is who the token says; strangers' signals and other bodies are dropped."""
    room_id = await rig.group()
    rig.say(open=[opening(5, ANN), opening(6, BOB)])
    await rig.until("opened", 2)
    typing = RoomSignal(room_id=room_id, user_id=BOB, typing=True)
    for connection_id in (5, 5, 6, 99):
        rig.say(signals=[ConnectionSignal(connection_id=connection_id, signal=typing)])
    receipt = RoomSignal(room_id=room_id, read_sequence=1)
    rig.say(signals=[ConnectionSignal(connection_id=5, signal=receipt)])
    await settle()
    rig.world.time.now += 3
    rig.say(signals=[ConnectionSignal(connection_id=5, signal=typing)])
    await settle()
    hints = [(channel, RoomHint.FromString(payload).signals) for channel, payload in rig.published]
    assert [channel for channel, _ in hints] == [room_channel(room_id)] * 2
    assert {signal.user_id for _, signals in hints for signal in signals} == {ANN}


async def test_a_failure_keeps_its_words_on_the_link(rig: Rig) -> None:
    """Code, reason, metadata and when to try again."""
    rig.world.limit.configure(rate=1, burst=1)
    room_id = await rig.group()
    rig.say(open=[opening(5, ANN)], sends=[sending(5, 1, room_id), sending(5, 2, room_id)])
    await rig.until("outcomes", 2)
    failure = next(o.failure for o in rig.said.outcomes if o.HasField("failure"))
    assert (failure.code, failure.reason, failure.retryable) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED", True)
    assert failure.retry_after_millis == 1000
