"""Waiting for outcomes: hints, questions after two seconds, the end after five."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from chassis.errors import Failure, OutcomeUnknown, Overloaded
from services.chat.ports import Disposition, LogEntry, Outcome, RequestKey
from services.chat.sweeper import Sweeper
from services.chat.use_cases.pending import Pending
from tests.support.chat_log import MemoryLog
from tests.support.chat_world import Time, running, settle


def entry(number: int = 1) -> LogEntry:
    return LogEntry(7, 9, number.to_bytes(16, "big"), b"h" * 16, b"")


class Waiter:
    """Collects what it is told."""

    def __init__(self) -> None:
        self.told: list[Outcome | Failure] = []

    def __call__(self, outcome: Outcome | Failure) -> None:
        self.told.append(outcome)


def test_an_outcome_reaches_its_waiter_once() -> None:
    """A repeated or foreign outcome changes nothing."""
    time, waiter = Time(), Waiter()
    pending = Pending(time, first=10)
    correlation = pending.next_correlation()
    pending.add(correlation, entry(), waiter)
    good = Outcome(correlation, Disposition.COMMITTED, 7, 1)
    pending.resolve(Outcome(correlation + 1, Disposition.COMMITTED, 7, 1))
    pending.resolve(Outcome(correlation, Disposition.COMMITTED, 8, 1))
    assert waiter.told == []
    pending.resolve(good)
    pending.resolve(good)
    assert waiter.told == [good]
    assert len(pending) == 0


def test_message_is_asked_after_two_seconds_and_again_every_second() -> None:
    """Not before, and not with every sweep."""
    time = Time()
    pending = Pending(time, first=10)
    pending.add(11, entry(), Waiter())
    asked = []
    for _ in range(19):
        time.now += 0.25
        asked.append([key.correlation for key in pending.to_ask()])
    assert [round((i + 1) * 0.25, 2) for i, keys in enumerate(asked) if keys] == [2.0, 3.0, 4.0]


def test_after_five_seconds_the_outcome_is_unknown() -> None:
    """The late are told, the others go on waiting; a late hint is ignored."""
    time, early, late = Time(), Waiter(), Waiter()
    pending = Pending(time, first=10)
    pending.add(11, entry(1), early)
    time.now += 3
    pending.add(12, entry(2), late)
    time.now += 2
    assert pending.expire() == 1
    assert [type(told) for told in early.told] == [OutcomeUnknown]
    assert late.told == []
    pending.resolve(Outcome(11, Disposition.COMMITTED, 7, 1))
    assert len(early.told) == 1


def test_no_more_than_the_limit_wait() -> None:
    """The next one is refused as OVERLOADED before anything is sent."""
    pending = Pending(Time(), first=10, limit=2)
    pending.add(11, entry(1), Waiter())
    pending.check_room(8)
    pending.add(12, entry(2), Waiter())
    with pytest.raises(Overloaded):
        pending.check_room(8)
    pending.discard(12)
    pending.check_room(8)


def test_what_ended_in_any_way_makes_room_for_others() -> None:
    """By its outcome, by nobody's waiting any longer, or by being taken back."""
    time = Time()
    pending = Pending(time, first=10, limit=3)
    pending.add(11, entry(1), Waiter())
    time.now += 6
    pending.add(12, entry(2), Waiter())
    pending.add(13, entry(3), Waiter())
    pending.expire()
    pending.resolve(Outcome(12, Disposition.COMMITTED, 7, 1))
    pending.resolve(Outcome(12, Disposition.COMMITTED, 7, 1))
    pending.discard(13)
    pending.discard(13)
    assert len(pending) == 0
    for correlation in (14, 15, 16):
        pending.check_room(8 + correlation)
        pending.add(correlation, entry(correlation), Waiter())


async def test_the_sweeper_finds_what_no_hint_told() -> None:
    """A lost hint costs two seconds, not the answer."""
    time, waiter = Time(), Waiter()
    pending = Pending(time, first=10)
    log = MemoryLog()
    log.done[(7, 9, entry().request_key)] = (b"h" * 16, Outcome(0, Disposition.COMMITTED, 7, 4, 44))
    pending.add(11, entry(), waiter)
    began = time.now
    async with running(Sweeper(pending, log, sleep=time.sleep).run):
        while not waiter.told:
            await settle(1)
        assert 2.0 <= time.now - began < 3.0
    (told,) = waiter.told
    assert isinstance(told, Outcome)
    assert (told.sequence, told.message_id, told.disposition) == (4, 44, Disposition.DUPLICATE)


class Hanging(MemoryLog):
    """A message service that never answers."""

    async def lookup(self, keys: Sequence[RequestKey]) -> list[Outcome]:
        await asyncio.Event().wait()
        return []


@pytest.mark.parametrize("log", [Hanging(), MemoryLog()], ids=["hangs", "away"])
async def test_the_sweeper_gives_up_while_message_is_away(log: MemoryLog) -> None:
    """A question that fails or hangs does not delay the end."""
    time, waiter = Time(), Waiter()
    pending = Pending(time, first=10)
    log.away = True
    pending.add(11, entry(), waiter)
    began = time.now
    async with running(Sweeper(pending, log, sleep=time.sleep).run):
        while not waiter.told:
            await settle(1)
    assert isinstance(waiter.told[0], OutcomeUnknown)
    assert 5.0 <= time.now - began < 6.0


def test_at_most_a_thousand_are_asked_about_at_once() -> None:
    """As many as one question may hold; the rest follow in the next round."""
    time = Time()
    pending = Pending(time, first=10)
    for number in range(1500):
        pending.add(pending.next_correlation(), entry(number), Waiter())
    time.now += 2
    first: list[RequestKey] = list(pending.to_ask())
    assert (len(first), len(pending.to_ask())) == (1000, 500)
