"""A consumer that has silently stopped fetching is noticed, one that has nothing to do is not."""

from __future__ import annotations

from services.message.progress import STALL_SECONDS, Progress

LATER = STALL_SECONDS + 0.1


def test_a_partition_with_records_that_does_not_move_is_stalled() -> None:
    """Only after the time, and only that partition."""
    progress = Progress()
    assert progress.stalled(0, {1: 5, 2: 5}, {1: 6, 2: 6}) == []
    assert progress.stalled(STALL_SECONDS, {1: 5, 2: 6}, {1: 6, 2: 7}) == []
    assert progress.stalled(LATER, {1: 5, 2: 6}, {1: 6, 2: 7}) == [1]


def test_a_partition_without_records_is_never_stalled() -> None:
    """The wait begins with the first record."""
    progress = Progress()
    assert progress.stalled(0, {1: 5}, {1: 5}) == []
    assert progress.stalled(1000, {1: 5}, {1: 5}) == []
    assert progress.stalled(1001, {1: 5}, {1: 6}) == []
    assert progress.stalled(1000 + LATER, {1: 5}, {1: 6}) == [1]


def test_a_partition_that_was_set_aside_begins_anew() -> None:
    """PostgreSQL being away is no reason for a new consumer."""
    progress = Progress()
    progress.stalled(0, {1: 5}, {1: 6})
    progress.stalled(10, {}, {})
    assert progress.stalled(1000, {1: 5}, {1: 6}) == []
