"""The judge judged: who is shown too little to be missed in what they saw, and what nobody sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.histories import ANNA, BERT, CARL, ROOM, History, Memberships, good, promises, receive
from tests.support.history import Kind, Record, Stored, check

PRESENT = {"anna": ANNA, "bert": BERT, "carl": CARL}
World = tuple[History, dict[int, list[Stored]], Memberships]


def shown_to_carl(*sequences: int, member: tuple[int, int | None] = (3, None)) -> World:
    """Carl is a member from 3 on, and is shown these."""
    records, logs, memberships = good()
    memberships[ROOM, CARL] = [member]
    for number in sequences:
        shown = records[receive(records, "anna", number)]
        records.append(replace(shown, client="carl", user=CARL, time=50.0 + number))
    return records, logs, memberships


def test_a_member_who_is_shown_nothing_at_all_is_missed() -> None:
    """Though nothing was noted that could be looked at."""
    world = shown_to_carl()
    found = check(*world, PRESENT)
    assert promises(found) == {"I4"}
    assert all(violation.records for violation in found)
    assert check(*shown_to_carl(*range(3, 11)), PRESENT) == []


@pytest.mark.parametrize("told", [7, 6, None], ids=["told 7", "told 6", "told nothing"])
def test_a_view_begins_with_a_coming_or_after_a_welcome(told: int | None) -> None:
    """Joined at 3, and the first event shown is 8: right for whose welcome told that the head is 7."""
    records, logs, memberships = shown_to_carl(8, 9, 10)
    if told is not None:
        records.append(Record("carl", CARL, 57.0, Kind.STATE, ROOM, 3, told, unread=told - 3))
    assert promises(check(records, logs, memberships, PRESENT)) == (set() if told == 7 else {"I4"})


def test_a_welcome_alone_is_a_view() -> None:
    """What came after the head that it told is due."""
    records, logs, memberships = shown_to_carl()
    records.append(Record("carl", CARL, 57.0, Kind.STATE, ROOM, 3, 7, unread=4))
    assert promises(check(records, logs, memberships, PRESENT)) == {"I4"}
    records[-1] = replace(records[-1], to_sequence=10, unread=7)
    assert check(records, logs, memberships, PRESENT) == []


@pytest.mark.parametrize("lost_at", [None, 53.5, 54.5], ids=["connected", "before", "cut"])
def test_who_leaves_is_shown_everything_up_to_it(lost_at: float | None) -> None:
    """Member from 3 to 10 who sees 3 and 4 only: right for whose connection was lost then."""
    records, logs, memberships = shown_to_carl(3, 4, member=(3, 10))
    if lost_at is not None:
        records.append(Record("carl", CARL, lost_at, Kind.LOST, 0))
    expected = set() if lost_at == 54.5 else {"I4"}
    assert promises(check(records, logs, memberships, PRESENT)) == expected


@pytest.mark.parametrize("lost_at", [None, 51.0, 53.0], ids=["connected", "before", "cut"])
def test_who_came_and_left_is_shown_it(lost_at: float | None) -> None:
    """Nothing of a whole membership on a connection that lasts is too little."""
    records, logs, memberships = shown_to_carl(member=(3, 10))
    assert check(records, logs, memberships, PRESENT) == []
    records.append(Record("carl", CARL, 52.0, Kind.JOINED, ROOM))
    if lost_at is not None:
        records.append(Record("carl", CARL, lost_at, Kind.LOST, 0))
    expected = set() if lost_at == 53.0 else {"I4"}
    assert promises(check(records, logs, memberships, PRESENT)) == expected


def test_another_clients_lost_connection_excuses_nobody() -> None:
    """Only one's own."""
    records, logs, memberships = shown_to_carl(3, 4, member=(3, 10))
    records.append(Record("anna", ANNA, 54.5, Kind.LOST, 0))
    assert promises(check(records, logs, memberships, PRESENT)) == {"I4"}


def test_a_stored_message_that_nobody_sent_is_found() -> None:
    """Although everybody was shown it as it is."""
    records, logs, memberships = good()
    logs[ROOM].append(Stored(11, "never-sent", 999, ANNA, "a ghost", 9))
    for client, user in (("anna", ANNA), ("bert", BERT)):
        records.append(Record(client, user, 70.0, Kind.RECEIVE, ROOM, 11, message_id=999, body="a ghost"))
    found = check(records, logs, memberships)
    assert [violation.text for violation in found] == [f"room {ROOM} has a message at 11 that nobody sent"]
    records.append(Record("anna", ANNA, 60.0, Kind.INVOKE, ROOM, request_id="never-sent", body="a ghost"))
    assert check(records, logs, memberships) == []


@pytest.mark.parametrize("room", [ROOM, ROOM + 1], ids=["in one room", "in two rooms"])
def test_one_message_id_is_one_message(room: int) -> None:
    """Whatever the rooms."""
    records, logs, memberships = good()
    if room == ROOM:
        place = logs[ROOM][8]
        logs[ROOM][8] = replace(place, message_id=108)
        records = [replace(r, message_id=108) if r.message_id == place.message_id else r for r in records]
    else:
        logs[room] = [Stored(1, "elsewhere", 108, ANNA, "", 1)]
        records.append(Record("anna", ANNA, 0.5, Kind.INVOKE, room, request_id="elsewhere"))
    assert promises(check(records, logs, memberships)) == {"I2"}


def test_a_message_without_a_number_is_found() -> None:
    """The others count as if it were none."""
    records, logs, memberships = good()
    log = logs[ROOM]
    log[7:] = [replace(event, number=number) for event, number in zip(log[7:], (0, 6, 7), strict=True)]
    assert promises(check(records, logs, memberships)) == {"I6"}


def test_a_message_that_is_shown_without_its_text_is_found() -> None:
    """An empty text is not the same as one that was not noted."""
    records, logs, memberships = good()
    at = receive(records, "bert", 8)
    records[at] = replace(records[at], body="")
    assert promises(check(records, logs, memberships)) == {"I4"}
    records[at] = replace(records[at], body=None)
    assert check(records, logs, memberships) == []


@pytest.mark.parametrize(
    "change", [{"sender": CARL}, {"request_id": "r9"}, {"number": 7}, {"body": ""}, {"sequence": 9}]
)
def test_the_whole_event_is_compared(change: dict[str, object]) -> None:
    """Sender, request id and number as well."""
    records, logs, memberships = good()
    at, stored = receive(records, "bert", 8), logs[ROOM][7]
    records[at] = replace(records[at], shown=stored)
    assert check(records, logs, memberships) == []
    records[at] = replace(records[at], shown=replace(stored, **change))  # type: ignore[arg-type]
    assert promises(check(records, logs, memberships)) == {"I4"}
