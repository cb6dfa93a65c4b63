"""Which cursors a restored backup makes void: never one too few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polychat.internal.log.v1.log_read_service_pb2 import RoomEpoch

from edge.protocol.catch_up import Resume, plan
from edge.protocol.epochs import VOID, current, judged

LOG = [100, 200]
"""Two restores: to a head of 40 at 100, to one of 30 at 200."""
ROOM = [RoomEpoch(epoch=100, head_sequence=40), RoomEpoch(epoch=200, head_sequence=30)]


@pytest.mark.parametrize(
    ("cursor", "epoch", "stands"),
    [
        (55, 200, True),  # of the log as it is
        (30, 0, True),  # not past what both restores kept
        (31, 0, False),
        (31, 100, False),
        (30, 100, True),
        (1, 150, False),  # of a log that was restored, went on, and was undone as a whole
        (0, 150, True),  # has nothing, so nothing of it is wrong
    ],
)
def test_a_cursor_is_void_past_the_head_of_a_later_restore(cursor: int, epoch: int, stands: bool) -> None:
    """Even when the room has grown past it again, so that its number alone looks right."""
    assert judged(cursor, epoch, ROOM, LOG) == (cursor if stands else VOID)


def test_a_void_cursor_is_answered_with_a_reset() -> None:
    """Whatever the head is."""
    assert plan(VOID, 60, 5000) is Resume.RESET


def test_a_log_that_was_never_restored_voids_nothing() -> None:
    """Its epoch is 0, which clients that know no epochs say too; nor the largest cursor that there is."""
    assert current([]) == 0
    assert judged(2**63 - 1, 0, [], []) == 2**63 - 1 != VOID


def test_a_room_made_after_a_restore_was_not_set_back_by_it() -> None:
    """It has no head in that backup."""
    assert judged(7, 0, [RoomEpoch(epoch=200, head_sequence=7)], LOG) == 7


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=5), st.data())
def test_no_ghost_survives(restores: list[tuple[int, int]], data: st.DataObject) -> None:
    """A log that grows and is set back to any earlier backup, again and again: what a cursor that stands
    has seen is the log as it is."""
    log: list[tuple[int, int]] = []
    marks: list[RoomEpoch] = []
    backups = [(list(log), list(marks))]
    seen = [(list(log), 0)]
    for number, (growth, chosen) in enumerate(restores, start=1):
        for _ in range(growth):
            log = [*log, (number, len(log))]
            seen.append((log, marks[-1].epoch if marks else 0))
        backups.append((list(log), list(marks)))
        if data.draw(st.booleans()):
            kept, lineage = backups[chosen % len(backups)]
            log, marks = list(kept), [*lineage, RoomEpoch(epoch=number, head_sequence=len(kept))]
    epochs = [mark.epoch for mark in marks]
    for copy, epoch in seen:
        stands = judged(len(copy), epoch, marks, epochs)
        assert stands == VOID or copy == log[: len(copy)]
