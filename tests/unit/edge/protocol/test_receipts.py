"""What is shown of readers (I6): forwards only, with a bounded memory of them."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from edge.protocol.receipts import Receipts

READS = st.lists(st.tuples(st.sampled_from(["hint", "welcome"]), st.integers(1, 9), st.integers(0, 12)))
MOST = 4


@given(READS)
def test_no_receipt_is_let_by_after_a_higher_one(reads: list[tuple[str, int, int]]) -> None:
    """However many readers there are, and whatever was forgotten of them."""
    with patch("edge.protocol.receipts.READERS", MOST):
        receipts = Receipts()
        told: dict[int, int] = {}
        for kind, user, sequence in reads:
            if kind == "welcome":
                receipts.note(user, sequence)
            elif receipts.advance(user, sequence):
                assert sequence >= told.get(user, 0)
            else:
                continue
            told[user] = max(sequence, told.get(user, 0))
            assert len(receipts) <= MOST


@given(READS)
def test_few_readers_are_shown_every_step_forwards(reads: list[tuple[str, int, int]]) -> None:
    receipts = Receipts()
    told: dict[int, int] = {}
    for _, user, sequence in reads:
        assert receipts.advance(user, sequence) == (sequence >= told.get(user, 0))
        told[user] = max(sequence, told.get(user, 0))


def test_of_too_many_readers_those_furthest_on_are_kept() -> None:
    """Who is near the head is shown as before; who is far behind is not, until they have caught up."""
    with patch("edge.protocol.receipts.READERS", MOST):
        receipts = Receipts()
        for user in range(1, 6):
            receipts.note(user, 10 * user)
    assert len(receipts) == 2
    assert [receipts.advance(5, 49), receipts.advance(5, 50)] == [False, True]
    assert [receipts.advance(9, 29), receipts.advance(9, 30)] == [False, True]


def test_few_receipts_wait_for_what_was_read() -> None:
    """When more come, those that wait already may still rise; the others are lost."""
    with patch("edge.protocol.receipts.EARLY_READERS", 2):
        receipts = Receipts()
        for user, sequence in ((1, 5), (2, 6), (3, 5), (1, 7), (1, 4)):
            receipts.hold(user, sequence)
    assert receipts.due(6) == [(2, 6)]
    assert receipts.due(9) == [(1, 7)]
    assert receipts.due(9) == []
