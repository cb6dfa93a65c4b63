"""Sending a message: who may, how often, once per request id, in order."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from chassis.errors import BackendUnavailable, Failure, InvalidField
from services.chat.domain import RoomKind
from services.chat.ports import Draft
from services.chat.use_cases.limits import SendLimit
from services.chat.use_cases.sending import Sent, Settled, draft
from tests.support.chat_world import Time, World, caller, running, settle, texts

OWNER, STRANGER = 1, 9


def message(room_id: int, text: str = "hi", request_id: str | None = None) -> Draft:
    return draft(room_id, request_id or str(uuid.uuid4()), text)


async def group(world: World) -> int:
    return (await world.rooms.create(caller(OWNER), uuid.uuid4().bytes, "Team", RoomKind.GROUP)).room_id


async def test_a_member_sends_and_is_told_where_it_is() -> None:
    """The answer has sequence, id and time as the log gave them."""
    world = World()
    async with running(world.members.run):
        room_id = await group(world)
        sent = await world.sending.send(OWNER, message(room_id))
    assert (sent.room_id, sent.sequence, sent.duplicate) == (room_id, 2, False)
    assert sent.message_id > 0
    assert sent.create_micros > 0


async def test_a_repeat_gives_the_first_result() -> None:
    """The same request id is one message, also in capitals; another body under it is refused."""
    world = World()
    async with running(world.members.run):
        room_id = await group(world)
        request_id = str(uuid.uuid4())
        first = await world.sending.send(OWNER, message(room_id, "hi", request_id))
        second = await world.sending.send(OWNER, message(room_id, "hi", request_id.upper()))
        assert second == Sent(room_id, first.sequence, first.message_id, first.create_micros, True)
        with pytest.raises(Failure) as raised:
            await world.sending.send(OWNER, message(room_id, "other", request_id))
    assert raised.value.reason == "REQUEST_ID_REUSED"
    assert raised.value.metadata == {"requestId": request_id}


@pytest.mark.parametrize("exists", [True, False])
async def test_a_stranger_is_refused_and_nothing_is_written(exists: bool) -> None:
    """The answer does not tell whether the room exists."""
    world = World()
    async with running(world.members.run):
        room_id = await group(world) if exists else 77
        with pytest.raises(Failure) as raised:
            await world.sending.send(STRANGER, message(room_id))
    assert (raised.value.reason, raised.value.metadata) == ("NOT_A_MEMBER", {"roomId": str(room_id)})
    assert world.kinds(room_id) == (["member_joined"] if exists else [])
    assert len(world.pending) == 0


@pytest.mark.parametrize(("copied", "reason"), [(False, "NOT_A_MEMBER"), (True, "OUTCOME_UNKNOWN")])
async def test_a_refusal_of_one_copy_is_not_definite(copied: bool, reason: str) -> None:
    """Kafka may have the entry twice; who is out at the first and in again at the second has sent it."""
    world = World()
    async with running(world.members.run):
        room_id = await group(world)
        await world.sending.send(OWNER, message(room_id))
        world.log.rooms[room_id].members.pop(OWNER)
        world.log.copied = copied
        with pytest.raises(Failure) as raised:
            await world.sending.send(OWNER, message(room_id))
    assert raised.value.reason == reason


async def test_membership_is_read_anew_before_a_refusal() -> None:
    """Who was refused and joins may send at once; nothing remembers the refusal."""
    world = World()
    async with running(world.members.run):
        room_id = await group(world)
        with pytest.raises(Failure):
            await world.sending.send(STRANGER, message(room_id))
        await world.memberships.add(caller(OWNER), room_id, [STRANGER])
        assert (await world.sending.send(STRANGER, message(room_id))).sequence == 3


async def test_the_cache_forgets_after_five_minutes_on_a_hint_and_on_a_rejection() -> None:
    """In between the log decides: a message of one who has left is rejected at its place."""
    world = World()
    async with running(world.members.run):
        room_id = await group(world)
        await world.memberships.add(caller(OWNER), room_id, [STRANGER])
        await world.sending.send(STRANGER, message(room_id))
        assert world.members.get((room_id, STRANGER)) is not None
        world.time.now += 300
        assert world.members.get((room_id, STRANGER)) is None
        await world.sending.send(STRANGER, message(room_id))
        remembered = world.members.get((room_id, STRANGER))
        await world.memberships.leave(STRANGER, room_id)
        assert world.members.get((room_id, STRANGER)) is None
        assert remembered is not None
        world.members._known[(room_id, STRANGER)] = (remembered, world.time.now + 30)  # another instance
        with pytest.raises(Failure, match="not a member"):
            await world.sending.send(STRANGER, message(room_id))
        assert world.members.get((room_id, STRANGER)) is None
    assert world.kinds(room_id)[-1] == "member_left"


async def test_a_membership_that_changes_while_it_is_read_is_read_again() -> None:
    """A hint that overtakes the read is not lost."""
    world = World()
    reading, go_on = asyncio.Event(), asyncio.Event()
    read = world.store.memberships
    reads = 0

    async def slow(keys):  # type: ignore[no-untyped-def]
        nonlocal reads
        reads += 1
        found = await read(keys)
        reading.set()
        await go_on.wait()
        return found

    async with running(world.members.run):
        room_id = await group(world)
        world.members._read = slow
        sending = asyncio.ensure_future(world.sending.send(OWNER, message(room_id)))
        await reading.wait()
        world.members.forget((room_id, OWNER))
        go_on.set()
        await sending
    assert reads == 2


async def test_order_is_kept_while_the_membership_is_read() -> None:
    """Messages that wait for the read leave before those that find it in the cache."""
    world = World()
    settled: list[Settled] = []
    async with running(world.members.run):
        room_id = await group(world)
        for number in range(20):
            world.sending.submit(OWNER, message(room_id, str(number)), settled.append)
            if number % 5 == 4:
                await settle(1)
        while len(settled) < 20:
            await settle(1)
    assert texts(world.log.rooms[room_id].events)[1:] == [str(number) for number in range(20)]


async def test_a_lost_outcome_of_ones_own_is_no_duplicate() -> None:
    """Asked by request id, message calls every committed entry a duplicate; we know our own id."""
    world = World()
    async with running(world.members.run):
        room_id = await group(world)
        world.log.silent = True
        sending = asyncio.ensure_future(world.sending.send(OWNER, message(room_id)))
        await settle()
        world.time.now += 2
        for outcome in await world.log.lookup(world.pending.to_ask()):
            world.pending.resolve(outcome)
        assert (await sending).duplicate is False


async def test_too_many_messages_are_limited_per_user_and_room() -> None:
    """The refusal says when to try again, and others are not touched."""
    world = World(rate=10, burst=3)
    async with running(world.members.run):
        room_id, other = await group(world), await group(world)
        for _ in range(3):
            await world.sending.send(OWNER, message(room_id))
        with pytest.raises(Failure) as raised:
            await world.sending.send(OWNER, message(room_id))
        assert raised.value.reason == "RATE_LIMITED"
        assert raised.value.retry_after == pytest.approx(0.1)
        await world.sending.send(OWNER, message(other))
        world.time.now += 0.1
        await world.sending.send(OWNER, message(room_id))


async def test_a_full_house_is_overloaded() -> None:
    """Beyond the limit of waiting entries nothing is taken in."""
    world = World(pending_limit=1)
    async with running(world.members.run):
        room_id = await group(world)
        world.log.hold = True
        first = asyncio.ensure_future(world.sending.send(OWNER, message(room_id)))
        await settle()
        with pytest.raises(Failure) as raised:
            await world.sending.send(OWNER, message(room_id))
        assert raised.value.reason == "OVERLOADED"
        world.log.release()
        assert (await first).sequence == 2


async def test_without_a_store_or_a_worker_id_nothing_is_sent() -> None:
    """Both say BACKEND_UNAVAILABLE, and a later send goes through."""
    world = World()

    async def broken(_keys: object) -> dict[tuple[int, int], object]:
        raise BackendUnavailable("postgres")

    async with running(world.members.run):
        room_id = await group(world)
        read, world.members._read = world.members._read, broken  # type: ignore[assignment]
        with pytest.raises(Failure, match="postgres"):
            await world.sending.send(OWNER, message(room_id))
        world.members._read = read

        def no_lease() -> int:
            raise BackendUnavailable("consul")

        world.sending._new_id = no_lease
        with pytest.raises(Failure, match="consul"):
            await world.sending.send(OWNER, message(room_id))
        world.sending._new_id = world.new_id
        assert (await world.sending.send(OWNER, message(room_id))).sequence == 2


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"room_id": 0}, "room_id"),
        ({"request_id": "7"}, "request_id"),
        ({"text": ""}, "text"),
        ({"text": "x" * 16_385}, "text"),
        ({"text": "ä" * 8_193}, "text"),
        ({"reply_to_message_id": -1}, "reply_to_message_id"),
        ({"mentioned_user_ids": [1] * 101}, "mentioned_user_ids"),
        ({"mentioned_user_ids": [0]}, "mentioned_user_ids"),
    ],
)
def test_a_malformed_draft_is_refused(arguments: dict[str, object], field: str) -> None:
    """The link brings drafts that no interceptor has looked at."""
    good: dict[str, object] = {"room_id": 7, "request_id": str(uuid.uuid4()), "text": "ä" * 8_192}
    assert draft(**good)  # type: ignore[arg-type]
    with pytest.raises(InvalidField) as raised:
        draft(**(good | arguments))  # type: ignore[arg-type]
    assert raised.value.violations[0].field == field


def test_the_limit_lets_a_burst_through_and_then_the_rate() -> None:
    """GCRA: what is not used comes back evenly; a live change applies at once."""
    time = Time()
    limit = SendLimit(time, rate=2, burst=4)
    assert [limit.take((7, 1)) for _ in range(4)] == [0.0] * 4
    assert limit.take((7, 1)) == pytest.approx(0.5)
    time.now += 1
    assert [limit.take((7, 1)) > 0 for _ in range(3)] == [False, False, True]
    limit.configure(rate=100, burst=100)
    assert limit.take((7, 1)) == 0.0


def test_the_limit_forgets_who_is_quiet() -> None:
    """Its memory is bounded by who sent lately, not by who ever sent."""
    time = Time()
    limit = SendLimit(time, rate=1, burst=1)
    for user_id in range(1000):
        limit.take((7, user_id))
        time.now += 0.5
    assert len(limit._full_at) < 10
