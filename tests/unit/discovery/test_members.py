"""Which instances stay in use, whatever Consul says or stops saying."""

from __future__ import annotations

from discovery.agent import Instance
from discovery.members import HOLD_SECONDS, Members

A, B = Instance("a", "127.0.0.1", 1), Instance("b", "127.0.0.1", 2)
UP, DOWN = True, False


def told(
    *answers: tuple[float, list[tuple[Instance, bool]]], broken: frozenset[float] = frozenset()
) -> Members:
    members = Members()
    for now, found in answers:
        members.answered(found, now, after_break=now in broken)
    return members


def test_only_passing_instances_are_taken_in() -> None:
    assert told((0, [(A, UP), (B, DOWN)])).good == (A,)


def test_an_instance_whose_check_fails_goes_at_once_while_another_passes() -> None:
    """A frozen process must not get half of the calls for ten seconds."""
    assert told((0, [(A, UP), (B, UP)]), (1, [(A, UP), (B, DOWN)])).good == (A,)


def test_the_set_is_never_emptied_by_failing_checks_nor_by_silence() -> None:
    both = [(A, UP), (B, UP)]
    assert told((0, both), (1, [(A, DOWN), (B, DOWN)]), (1000, [(A, DOWN), (B, DOWN)])).good == (A, B)
    assert told((0, both), (1, []), (1000, [])).good == (A, B)


def test_an_instance_that_vanished_is_held_then_dropped() -> None:
    both, one = [(A, UP), (B, UP)], [(A, UP)]
    assert told((0, both), (1, one), (1 + HOLD_SECONDS - 0.1, one)).good == (A, B)
    assert told((0, both), (1, one), (1 + HOLD_SECONDS, one)).good == (A,)


def test_an_instance_that_comes_back_in_time_was_never_gone() -> None:
    both, one = [(A, UP), (B, UP)], [(A, UP)]
    members = told((0, both), (1, one), (9, both), (10, one), (19, one))
    assert members.good == (A, B)
    assert members.next_expiry() == 10 + HOLD_SECONDS


def test_after_a_break_failing_checks_are_not_believed_for_a_while() -> None:
    """A restarted agent calls every service critical until it has checked it."""
    both, half = [(A, UP), (B, UP)], [(A, UP), (B, DOWN)]
    assert told((0, both), (5, half), (14.9, half), broken=frozenset({5})).good == (A, B)
    assert told((0, both), (5, half), (15, half), broken=frozenset({5})).good == (A,)


def test_a_restarted_instance_replaces_its_address_at_once() -> None:
    moved = Instance("a", "127.0.0.1", 9)
    assert told((0, [(A, UP)]), (1, [(moved, UP)])).good == (moved,)


def test_a_stream_prefers_what_passes_now_and_takes_what_is_held_when_nothing_does() -> None:
    both = [(A, UP), (B, UP)]
    assert told((0, both), (1, [(A, UP)])).preferred == (A,)
    assert told((0, both), (1, [])).preferred == (A, B)


def test_nothing_expires_while_nothing_passes() -> None:
    assert told((0, [(A, UP)]), (1, [])).next_expiry() is None
