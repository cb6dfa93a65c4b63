"""How much may wait follows how much gets done."""

from __future__ import annotations

import pytest

from chassis.backlog import AT_LEAST, Backlog
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


def refuses(backlog: Backlog, waiting: int) -> bool:
    try:
        backlog.check(waiting)
    except Overloaded:
        return True
    return False


def test_after_silence_a_burst_may_wait() -> None:
    backlog = Backlog(Time(), most=10_000)
    assert not refuses(backlog, AT_LEAST - 1)
    assert refuses(backlog, AT_LEAST)


def test_as_many_may_wait_as_are_done_in_a_second() -> None:
    time = Time()
    backlog = Backlog(time, most=10_000)
    work(backlog, time, 3_000)
    assert not refuses(backlog, 2_999)
    assert refuses(backlog, 3_000)


def test_a_pause_of_a_few_seconds_changes_nothing() -> None:
    """The best of the last seconds counts; what a short stop of the broker holds back is not refused."""
    time = Time()
    backlog = Backlog(time, most=10_000)
    work(backlog, time, 3_000)
    time.now += 3
    assert not refuses(backlog, 2_999)


def test_when_nothing_is_done_any_more_only_a_burst_may_wait() -> None:
    """What is let in while a part is away is what has to be done before anything new once it is back."""
    time = Time()
    backlog = Backlog(time, most=10_000)
    work(backlog, time, 3_000, seconds=5)
    time.now += 6
    assert refuses(backlog, AT_LEAST)


def test_the_bound_of_memory_stays() -> None:
    time = Time()
    backlog = Backlog(time, most=2)
    work(backlog, time, 3_000)
    assert not refuses(backlog, 1)
    assert refuses(backlog, 2)


def test_who_is_refused_is_told_different_times_to_come_back() -> None:
    backlog = Backlog(Time(), most=1)
    told = []
    for _ in range(50):
        with pytest.raises(Overloaded) as refused:
            backlog.check(1)
        told.append(refused.value.retry_after or 0.0)
    assert 1.0 <= min(told) < max(told) <= 3.0
    assert len(set(told)) > 25
