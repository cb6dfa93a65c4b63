"""How much may wait follows how much gets done."""

from __future__ import annotations

import pytest

from chassis.backlog import AT_LEAST, SHARE_OF_A_ROOM, Backlog
from chassis.errors import Overloaded


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def work(backlog: Backlog, time: Time, count: int, seconds: int = 1) -> None:
    """So many are done in each of so many seconds."""
    for _ in range(seconds):
        for _ in range(count):
            backlog.done()
        time.now += 1


def fill(backlog: Backlog) -> int:
    """Lets in, each for another room, until one is refused; how many."""
    for number in range(100_000):
        try:
            backlog.admit(number)
        except Overloaded:
            return number
    raise AssertionError("there is no bound")


def test_after_silence_a_burst_may_wait() -> None:
    assert fill(Backlog(Time(), most=10_000)) == AT_LEAST


def test_as_many_may_wait_as_are_done_in_half_a_second() -> None:
    time = Time()
    backlog = Backlog(time, most=10_000)
    work(backlog, time, 3_000)
    assert fill(backlog) == 1_500


def test_who_waits_no_longer_makes_room() -> None:
    backlog = Backlog(Time(), most=10_000)
    fill(backlog)
    backlog.leave(0)
    backlog.check(0)


def test_one_room_may_only_take_its_share() -> None:
    """The others are let in as if it were not there."""
    backlog = Backlog(Time(), most=10_000)
    for _ in range(AT_LEAST // SHARE_OF_A_ROOM):
        backlog.admit(7)
    with pytest.raises(Overloaded):
        backlog.check(7)
    backlog.check(8)


def test_the_share_of_a_room_grows_with_what_is_done() -> None:
    time = Time()
    backlog = Backlog(time, most=10_000)
    work(backlog, time, 5_000)
    for _ in range(500):
        backlog.admit(7)
    with pytest.raises(Overloaded):
        backlog.check(7)


def test_a_pause_of_a_few_seconds_changes_nothing() -> None:
    """The best of the last seconds counts: a short stop of the broker does not make it a slow system."""
    time = Time()
    backlog = Backlog(time, most=10_000)
    work(backlog, time, 3_000)
    time.now += 3
    assert fill(backlog) == 1_500


def test_when_nothing_is_done_any_more_only_a_burst_may_wait() -> None:
    """What is let in while a part is away is what has to be done before anything new once it is back."""
    time = Time()
    backlog = Backlog(time, most=10_000)
    work(backlog, time, 3_000, seconds=5)
    time.now += 6
    assert fill(backlog) == AT_LEAST


def test_the_bound_of_memory_stays() -> None:
    time = Time()
    backlog = Backlog(time, most=2)
    work(backlog, time, 3_000)
    assert fill(backlog) == 2


def test_who_is_refused_is_told_different_times_to_come_back() -> None:
    backlog = Backlog(Time(), most=1)
    backlog.enter(7)
    told = []
    for _ in range(50):
        with pytest.raises(Overloaded) as refused:
            backlog.check(7)
        told.append(refused.value.retry_after or 0.0)
    assert 1.0 <= min(told) < max(told) <= 3.0
    assert len(set(told)) > 25
