"""What the journal says about the health of a swarm: each room of each client counts by itself (HEAL)."""

from __future__ import annotations

import pytest

from tests.support.history import Kind
from tests.support.journal import Journal

STUCK, FINE = 7, 8
SOON = 1.5


def _send(journal: Journal, client: str, room: int, sequence: int, *, answered: bool = True) -> None:
    request_id = f"{client}-{room}-{sequence}"
    journal.note(client, 1, Kind.INVOKE, room, request_id=request_id)
    if answered:
        journal.note(client, 1, Kind.OK, room, request_id=request_id, sequence=sequence)


def _show(journal: Journal, client: str, room: int, sequence: int) -> None:
    journal.note(client, 1, Kind.RECEIVE, room, sequence=sequence)


def test_an_answer_in_one_room_says_nothing_of_another() -> None:
    """A partition that nobody works on any more is not normal."""
    journal = Journal()
    _send(journal, "anna", STUCK, 1, answered=False)
    _send(journal, "anna", FINE, 1)
    assert journal.quick(0.0, SOON) == {("anna", FINE)}
    assert set(journal.first_answers(0.0)) == {("anna", FINE)}


def test_an_answer_to_what_was_begun_earlier_is_not_new() -> None:
    """It may have been stored before the fault."""
    journal = Journal()
    _send(journal, "anna", FINE, 1, answered=False)
    since = journal.records[-1].time + 1e-9
    journal.note("anna", 1, Kind.OK, FINE, request_id="anna-8-1", sequence=1)
    assert journal.first_answers(since) == {}
    assert journal.quick(since, SOON) == set()
    _show(journal, "bert", FINE, 1)
    assert journal.reached(since) == set()


@pytest.mark.parametrize(("shown", "reached"), [((), set()), ((1,), set()), ((1, 2), {("bert", FINE)})])
def test_a_reader_is_reached_by_a_new_event(shown: tuple[int, ...], reached: set[tuple[str, int]]) -> None:
    """In that room, and not by what was sent before."""
    journal = Journal()
    _send(journal, "anna", FINE, 1)
    since = journal.records[-1].time + 1e-9
    _send(journal, "anna", FINE, 2)
    _show(journal, "bert", STUCK, 5)
    for sequence in shown:
        _show(journal, "bert", FINE, sequence)
    assert journal.reached(since) == reached
