"""The contiguity rule, the ring, and what a cursor is owed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.protocol.catch_up import Resume, RoomLog, plan
from edge.protocol.events import Event
from edge.protocol.limits import EARLY_EVENTS, REPLAY_ROOM, RING_EVENTS


def event(sequence: int) -> Event:
    return Event(7, sequence, b"")


def out(log: RoomLog, *sequences: int) -> list[int]:
    return [ready.sequence for sequence in sequences for ready in log.accept(event(sequence))]


def test_in_order_goes_straight_through() -> None:
    assert out(RoomLog(4), 5, 6, 7) == [5, 6, 7]


def test_duplicates_vanish() -> None:
    assert out(RoomLog(4), 5, 5, 4, 1, 6, 5) == [5, 6]


def test_an_early_event_waits_for_those_before_it() -> None:
    log = RoomLog(4)
    assert out(log, 7, 6) == []
    assert log.missing
    assert out(log, 5) == [5, 6, 7]
    assert not log.missing


def test_a_head_tells_of_a_lost_hint() -> None:
    log = RoomLog(4)
    assert not log.observe(4)
    assert not log.observe(3)
    assert log.observe(6)
    assert out(log, 5) == [5]
    assert log.missing
    assert out(log, 6) == [6]
    assert not log.missing


def test_giving_up_forgets_what_does_not_exist() -> None:
    log = RoomLog(4)
    out(log, 9)
    log.give_up()
    assert not log.missing
    assert out(log, 5) == [5]


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(1, n), max_size=80))))
def test_whatever_the_order_each_goes_out_once_and_in_order(case: tuple[int, list[int]]) -> None:
    """Lost, doubled and swapped at will; then everything comes once more, as a fetch brings it."""
    count, arrivals = case
    log = RoomLog(0)
    seen = out(log, *arrivals)
    assert seen == list(range(1, len(seen) + 1))
    assert log.missing == (max(arrivals, default=0) > len(seen))
    assert seen + out(log, *range(1, count + 1)) == list(range(1, count + 1))


def test_early_events_are_bounded() -> None:
    log = RoomLog(0)
    out(log, *range(2, EARLY_EVENTS * 3))
    assert len(out(log, 1)) == EARLY_EVENTS + 1
    assert log.missing


def test_the_ring_reaches_back_so_far_and_no_further() -> None:
    log = RoomLog(10)
    assert log.since(10) == []
    assert log.since(9) is None
    out(log, *range(11, 11 + RING_EVENTS + 5))
    head = 10 + RING_EVENTS + 5
    assert log.head == head
    assert [e.sequence for e in log.since(head - 3) or []] == [head - 2, head - 1, head]
    assert len(log.since(head - RING_EVENTS) or []) == RING_EVENTS
    assert log.since(head - RING_EVENTS - 1) is None


@pytest.mark.parametrize(
    ("cursor", "head", "budget", "way"),
    [
        (None, 9, 5000, Resume.LIVE),
        (9, 9, 5000, Resume.LIVE),
        (0, 0, 5000, Resume.LIVE),
        (8, 9, 5000, Resume.REPLAY),
        (0, REPLAY_ROOM, 5000, Resume.REPLAY),
        (0, REPLAY_ROOM + 1, 5000, Resume.GAP),
        (8, 9, 0, Resume.GAP),
        (5, 9, 3, Resume.GAP),
        (10, 9, 5000, Resume.RESET),
    ],
)
def test_what_a_cursor_is_owed(cursor: int | None, head: int, budget: int, way: Resume) -> None:
    assert plan(cursor, head, budget) is way
