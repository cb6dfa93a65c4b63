"""Which partitions are worked on, which wait and for how long, and which logs are in doubt."""

from __future__ import annotations

import pytest

from services.message.domain import Position
from services.message.fetched import (
    AnotherLogError,
    LogEnds,
    anchor_of,
    batch_of,
    continuation,
    fault,
    first_offset,
)
from services.message.ownership import (
    DOUBT_ENDS_SECONDS,
    DOUBT_SECONDS,
    FIRST_DELAY_SECONDS,
    LONGEST_DELAY_SECONDS,
    RECLAIM_SECONDS,
    Ownership,
)


class FakeRecord:
    """A record as the client gives it."""

    def __init__(self, offset: int, value: bytes = b"v") -> None:
        self.offset = offset
        self.timestamp = 1
        self.key: bytes | None = b"k"
        self.value: bytes | None = value
        self.headers: list[tuple[str, bytes]] = []


def working(*partitions: int) -> Ownership:
    """An owner that works on partitions."""
    ownership = Ownership()
    ownership.assign(partitions, 0.0)
    for partition, wait in ownership.due(0.0).items():
        ownership.start(partition, wait)
    return ownership


def test_an_assigned_partition_is_claimed_before_it_is_worked_on() -> None:
    """Being given it by the group is not yet being its owner."""
    ownership = Ownership()
    ownership.assign([1, 2], 10.0)
    assert ownership.working == frozenset()
    due = ownership.due(10.0)
    assert all(wait.claim for wait in due.values())
    assert ownership.start(1, due[1])
    assert ownership.working == {1}


def test_a_claim_that_ends_after_the_group_took_the_partition_back_starts_nothing() -> None:
    """Nor when the group gave it again meanwhile: that is another ownership."""
    ownership = Ownership()
    ownership.assign([1], 0.0)
    due = ownership.due(0.0)
    ownership.revoke()
    assert not ownership.start(1, due[1])
    ownership.assign([1], 0.0)
    assert not ownership.start(1, due[1])
    assert ownership.working == frozenset()


def test_waits_double_to_a_bound_and_begin_short_after_a_success() -> None:
    """A store that is away is asked ever more rarely."""
    ownership = working(1)
    delays = []
    for _ in range(8):
        ownership.wait([1], 0.0, claim=False)
        (wait,) = ownership.due(1000.0).values()
        delays.append(wait.due)
        ownership.start(1, wait)
    assert delays[:3] == [FIRST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2, FIRST_DELAY_SECONDS * 4]
    assert delays[-1] == LONGEST_DELAY_SECONDS
    ownership.committed([1])
    ownership.wait([1], 0.0, claim=False)
    assert ownership.due(FIRST_DELAY_SECONDS).keys() == {1}


def test_a_fenced_partition_is_claimed_again_only_after_the_group_had_time_to_speak() -> None:
    """Two owners must not take it from each other in turns."""
    ownership = working(1)
    ownership.fenced([1], 0.0)
    assert ownership.due(RECLAIM_SECONDS - 0.1) == {}
    assert ownership.due(RECLAIM_SECONDS)[1].claim
    ownership.revoke()
    assert ownership.due(RECLAIM_SECONDS) == {}


def test_a_log_is_believed_to_be_another_one_when_it_stays_so() -> None:
    """Until then the partition waits, and is said to be in doubt."""
    ownership = working(1, 2)
    for now in (0.0, 1.0, DOUBT_SECONDS - 0.1):
        assert not ownership.doubt(1, f"wiped at {now}", now)
        ownership.wait([1], now, claim=True)
    assert ownership.doubted == {1: f"wiped at {DOUBT_SECONDS - 0.1}"}
    assert ownership.working == {2}
    assert ownership.assigned == {1, 2}
    assert ownership.doubt(1, "wiped", DOUBT_SECONDS)


def test_a_doubt_ends_with_a_commit_and_by_itself() -> None:
    """What looked wrong last week says nothing about today."""
    ownership = working(1)
    assert not ownership.doubt(1, "wiped", 0.0)
    ownership.committed([1])
    assert not ownership.doubt(1, "wiped", DOUBT_SECONDS)
    assert not ownership.doubt(1, "wiped", 2 * DOUBT_SECONDS + DOUBT_ENDS_SECONDS)
    assert ownership.doubted == {}


@pytest.mark.parametrize(
    ("next_offset", "fine"), [(9, False), (10, True), (15, True), (20, True), (21, False)]
)
def test_a_position_outside_the_log_is_a_fault(next_offset: int, fine: bool) -> None:
    """Past the end: wiped; before the beginning: retention passed it. Both ends included."""
    assert (fault(Position(1, 1, next_offset), LogEnds(10, 20)) is None) == fine


def test_reading_begins_at_the_record_that_proves_the_log() -> None:
    """When there is one and it is still there."""
    assert first_offset(Position(1, 1, 5, b"a"), LogEnds(0, 9)) == 4
    assert first_offset(Position(1, 1, 5, b"a"), LogEnds(5, 9)) == 5
    assert first_offset(Position(1, 1, 5, b""), LogEnds(0, 9)) == 5
    assert first_offset(Position(1, 1, 0, b""), LogEnds(0, 9)) == 0


def test_what_was_committed_is_recognised_and_dropped() -> None:
    """Only what follows is a batch, and its last record is the next proof."""
    records = [FakeRecord(4), FakeRecord(5), FakeRecord(6, b"last")]
    found = continuation(Position(1, 1, 5, anchor_of(records[0])), records)
    assert [record.offset for record in found] == [5, 6]
    batch = batch_of(1, found)
    assert (batch.next_offset, batch.anchor) == (7, anchor_of(FakeRecord(6, b"last")))


def test_a_log_that_was_wiped_and_has_grown_again_is_not_taken_for_ours() -> None:
    """The offset fits and the record is another."""
    mine = anchor_of(FakeRecord(4, b"mine"))
    with pytest.raises(AnotherLogError):
        continuation(Position(1, 1, 5, mine), [FakeRecord(4, b"other"), FakeRecord(5)])
