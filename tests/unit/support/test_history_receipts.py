"""The judge judged: receipts that nobody set, that are refused, and heads that fall."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.histories import ANNA, BERT, CARL, ROOM, History, Memberships, good, promises
from tests.support.history import Kind, Record, Stored, check

READS = (Kind.READING, Kind.READ)


def _texts(records: History, logs: dict[int, list[Stored]], memberships: Memberships) -> list[str]:
    found = check(records, logs, memberships)
    assert promises(found) == {"I6"}
    assert all(violation.records for violation in found)
    return [violation.text for violation in found]


def _without_reads(records: History, user: int, above: int) -> History:
    return [r for r in records if not (r.kind in READS and r.user == user and r.sequence > above)]


def test_a_receipt_that_nobody_set_is_found() -> None:
    """Bert said no more than 3 and wrote up to 9; the count says 10."""
    records, logs, memberships = good()
    records = [r for r in _without_reads(records, BERT, 3) if r.kind is not Kind.RECEIPT]
    assert _texts(records, logs, memberships) == [
        f"the receipt of bert in room {ROOM} is at 10, where nobody put it"
    ]


def test_a_receipt_shown_that_its_user_never_set_is_found() -> None:
    """Carl is in the room and has said nothing."""
    records, logs, memberships = good()
    memberships[ROOM, CARL] = [(1, 2)]
    records.append(Record("anna", ANNA, 60.0, Kind.RECEIPT, ROOM, 6, subject=CARL))
    assert _texts(records, logs, memberships) == [
        f"anna was shown that user {CARL} has read up to 6 of room {ROOM}, which nobody said"
    ]


def test_a_receipt_shown_before_it_was_set_is_found() -> None:
    """What is said later explains nothing."""
    records, logs, memberships = good()
    early = Record("anna", ANNA, 0.5, Kind.RECEIPT, ROOM, 8, subject=BERT)
    assert any("which nobody said" in text for text in _texts([early, *records], logs, memberships))


@pytest.mark.parametrize("place", [1, 9], ids=["the coming", "an own message"])
def test_comings_and_own_messages_set_receipts_too(place: int) -> None:
    """Nobody has to say that they have read what they did themselves."""
    records, logs, memberships = good()
    memberships[ROOM, BERT] = [(1, None)]
    records = [
        replace(r, sequence=place, unread=10 - max(place, 2)) if r is records[-1] else r for r in records
    ]
    records = [r for r in _without_reads(records, BERT, 0) if r.kind is not Kind.RECEIPT]
    if place < 9:
        records = [r for r in records if (r.kind, r.user) != (Kind.OK, BERT)]
    assert check(records, logs, memberships) == []


def test_an_own_message_that_was_answered_is_read() -> None:
    """Bert's last message is 9; without a word of his the count may not be below it."""
    records, logs, memberships = good()
    records = _without_reads(records, BERT, 8)
    records = [r for r in records if (r.kind, r.sequence) != (Kind.RECEIPT, 9)]
    records = [r for r in records if (r.kind, r.sequence) != (Kind.RECEIPT, 10)]
    spoilt = [replace(r, sequence=8, unread=2) if r.kind is Kind.STATE else r for r in records]
    assert _texts(spoilt, logs, memberships) == [f"the receipt of bert in room {ROOM} went backwards"]


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.LISTED])
def test_a_head_below_what_was_seen_is_found(kind: Kind) -> None:
    """Anna was shown 10 before Bert asked."""
    records, logs, memberships = good()
    records = [r for r in _without_reads(records, BERT, 4) if r.kind is not Kind.RECEIPT]
    records = [r for r in records if (r.kind, r.user) != (Kind.OK, BERT) or r.sequence < 5]
    records[-1] = replace(records[-1], kind=kind, sequence=4, to_sequence=4, unread=0)
    assert _texts(records, logs, memberships) == [
        f"the head of room {ROOM} was told to bert as 4, after it was known to be 10"
    ]


def test_a_head_that_was_read_before_the_event_came_is_right() -> None:
    """Only what was known when the count was asked for counts."""
    records, logs, memberships = good()
    early = Record("bert", BERT, 60.0, Kind.STATE, ROOM, 4, 4, began=3.0)
    assert check([*records, early], logs, memberships) == []


def test_a_head_past_the_log_is_found() -> None:
    """The log has ten events."""
    records, logs, memberships = good()
    records[-1] = replace(records[-1], to_sequence=11)
    assert _texts(records, logs, memberships) == [
        f"bert was told that the head of room {ROOM} is 11; its log ends at 10"
    ]


def test_a_room_list_is_a_count_too() -> None:
    """What the list says at the end is recounted as a welcome is."""
    records, logs, memberships = good()
    wrong = Record("bert", BERT, 60.0, Kind.LISTED, ROOM, 10, 10, unread=1, began=59.0)
    assert "recounted 0" in _texts([*records, wrong], logs, memberships)[0]


@pytest.mark.parametrize(
    ("reason", "stretches", "right"),
    [
        ("NOT_A_MEMBER", [(2, None)], False),
        ("NOT_A_MEMBER", [(2, 9)], True),
        ("RECEIPT_PAST_HEAD", [(2, None)], False),
        ("INTERNAL", [(2, 9)], False),
    ],
)
def test_a_receipt_is_refused_to_who_left_only(
    reason: str, stretches: list[tuple[int, int | None]], right: bool
) -> None:
    """Whoever stays in the room may always say what it was shown."""
    records, logs, memberships = good()
    records.append(Record("carl", CARL, 60.0, Kind.DENIED, ROOM, 5, body=reason))
    memberships[ROOM, CARL] = stretches
    found = [violation for violation in check(records, logs, memberships) if violation.promise == "I6"]
    assert [violation.text for violation in found] == (
        [] if right else [f"carl may not say what it has read of room {ROOM}: {reason}"]
    )


def _shown_back(memberships: list[tuple[int, int | None]]) -> list[str]:
    """Bert is shown Anna's receipt at 7 before the tenth event reaches him, and at 6 after it."""
    records, logs, members = good()
    members[ROOM, BERT] = memberships
    for time, sequence in ((8.55, 7), (8.65, 6)):
        records.append(Record("bert", BERT, time, Kind.RECEIPT, ROOM, sequence, subject=ANNA))
    return [v.text for v in check(records, logs, members) if "going backwards" in v.text]


def test_receipts_begin_anew_for_who_was_away() -> None:
    """Whoever stays is shown them going forwards only; Bert left with 8 and came again with 10."""
    assert _shown_back([(2, None)]) == [f"bert was shown the receipt of user {ANNA} going backwards"]
    assert _shown_back([(2, 8), (10, None)]) == []
