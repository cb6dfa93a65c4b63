"""The judge judged: who leaves, comes back, and is told to forget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.histories import ANNA, CARL, ROOM, History, Memberships, good, promises, receive
from tests.support.history import Kind, Record, Stored, check


def came_back() -> tuple[History, dict[int, list[Stored]], Memberships]:
    """Carl is in the room from 3 to 5 and from 8 on, and connected all the time."""
    records, logs, memberships = good()
    memberships[ROOM, CARL] = [(3, 5), (8, None)]
    for number in (3, 4, 5, 8, 9, 10):
        shown = records[receive(records, "anna", number)]
        records.append(replace(shown, client="carl", user=CARL, time=50.0 + number))
    return records, logs, memberships


def test_who_comes_back_goes_on_with_the_event_of_it() -> None:
    """Nothing is shown of the time between, and it need not be told as skipped."""
    assert check(*came_back()) == []


@pytest.mark.parametrize("missed", [5, 8, 10])
def test_who_comes_back_misses_nothing(missed: int) -> None:
    """Neither the end of the first stretch, nor the beginning or the end of the second."""
    records, logs, memberships = came_back()
    del records[receive(records, "carl", missed)]
    assert promises(check(records, logs, memberships)) == {"I4"}


@pytest.mark.parametrize("leaked", [6, 7])
def test_nothing_of_the_time_between_reaches_who_comes_back(leaked: int) -> None:
    """Neither the first event after the end nor the last before the new beginning."""
    records, logs, memberships = came_back()
    shown = records[receive(records, "anna", leaked)]
    records.append(replace(shown, client="carl", user=CARL, time=50.0 + leaked))
    assert "I5" in promises(check(records, logs, memberships))


@pytest.mark.parametrize("told", [False, True])
def test_a_room_that_was_not_told_at_the_beginning_starts_with_the_join(told: bool) -> None:
    """Carl was away when he was removed, and came back to a connection without the room. Had the room been
    in its welcome, the rest of the first stretch was due."""
    records, logs, memberships = came_back()
    del records[receive(records, "carl", 5)]
    records.append(Record("carl", CARL, 56.0, Kind.RESUME, ROOM, sequence=4))
    if told:
        records.append(Record("carl", CARL, 56.1, Kind.STATE, ROOM, 8, 10, unread=2))
    assert promises(check(records, logs, memberships)) == ({"I4"} if told else set())


@pytest.mark.parametrize("away", [True, False])
def test_only_who_was_removed_while_away_need_not_see_the_end(away: bool) -> None:
    """The rest of a membership that is over is not theirs to ask for any more; on a connection that lasts
    it comes by itself, up to the leave."""
    records, logs, memberships = came_back()
    memberships[ROOM, CARL] = [(3, 5), (8, 10)]
    del records[receive(records, "carl", 10)]
    if away:
        records.append(Record("carl", CARL, 59.5, Kind.LOST, 0))
    assert promises(check(records, logs, memberships)) == (set() if away else {"I4"})


def test_after_a_reset_the_old_view_counts_no_more() -> None:
    """A restored database: what was seen before may be gone, what is seen after must be there."""
    records, logs, memberships = good()
    ghost = Record("anna", ANNA, 20.0, Kind.RECEIVE, ROOM, 11, message_id=999, body="a ghost")
    assert promises(check([*records, ghost], logs, memberships)) == {"I4"}
    again = [
        replace(r, time=40.0 + r.sequence) for r in records if r.kind is Kind.RECEIVE and r.client == "anna"
    ]
    reset = Record("anna", ANNA, 30.0, Kind.RESET, ROOM, sequence=2)
    assert check([*records, ghost, reset, *again], logs, memberships) == []
    assert promises(check([*records, ghost, reset, *again[:-1]], logs, memberships)) == {"I4"}
