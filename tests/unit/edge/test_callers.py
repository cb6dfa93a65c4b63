"""Which sessions the edge takes to have ended, and for how long it has to know."""

from __future__ import annotations

from typing import Any, cast

import pytest

import edge.callers
from chassis.caller import Caller
from chassis.errors import SessionRevoked
from edge.callers import TOKEN_SECONDS, Callers


class Verifier:
    """Takes every token for good: `session:expire`."""

    def verify_cached(self, token: str) -> Caller:
        session, expire = token.split(":")
        return Caller(1, int(session), token, float(expire))

    async def verify(self, token: str) -> Caller:
        return self.verify_cached(token)


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def callers(clock: Clock) -> Callers:
    return Callers(cast(Any, Verifier()), clock)


async def test_a_session_that_ended_is_refused_and_others_are_not() -> None:
    """On both ways in."""
    known = callers(Clock())
    known.end(7)
    known.end(7)
    with pytest.raises(SessionRevoked):
        known.verify_cached("7:2000")
    with pytest.raises(SessionRevoked):
        await known.verify("7:2000")
    assert (await known.verify("8:2000")).session_id == 8


def test_an_end_is_remembered_as_long_as_a_token_can_live() -> None:
    """Made the moment before: 15 minutes and the leeway; after that it has expired."""
    clock = Clock()
    known = callers(clock)
    known.end(7)
    clock.now += TOKEN_SECONDS - 1
    known.end(8)
    with pytest.raises(SessionRevoked):
        known.verify_cached("7:2000")
    clock.now += 1
    known.end(9)
    assert known.verify_cached("7:2000") is not None
    clock.now += TOKEN_SECONDS
    known.end(9)
    known.end(9)
    with pytest.raises(SessionRevoked):
        known.verify_cached("9:9000")


def test_ends_are_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.callers, "MAX_ENDED", 2)
    known = callers(Clock())
    for session_id in (1, 2, 3):
        known.end(session_id)
    assert known.verify_cached("1:2000") is not None
    for token in ("2:2000", "3:2000"):
        with pytest.raises(SessionRevoked):
            known.verify_cached(token)


def test_a_session_is_to_be_checked_once_at_its_first_use() -> None:
    known = callers(Clock())
    for token in ("7:2000", "7:2000", "8:2000"):
        known.verify_cached(token)
    assert known.unchecked.is_set()
    assert sorted(known.take_unchecked()) == [7, 8]
    known.verify_cached("7:2100")
    assert not known.unchecked.is_set()
    assert known.take_unchecked() == []


def test_a_session_is_in_use_until_its_last_token_is_over() -> None:
    """The leeway counts; an end takes it out at once."""
    clock = Clock()
    known = callers(clock)
    for token in ("7:1900", "7:1100", "8:1100", "9:1900"):
        known.verify_cached(token)
    known.end(9)
    assert sorted(known.seen()) == [7, 8]
    clock.now = 1129.0
    assert sorted(known.seen()) == [7, 8]
    clock.now = 1130.0
    assert known.seen() == [7]
    clock.now = 1930.0
    assert known.seen() == []


def test_sessions_in_use_are_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.callers, "MAX_SEEN", 2)
    known = callers(Clock())
    for session_id in (1, 2, 3):
        known.verify_cached(f"{session_id}:2000")
    assert known.seen() == [2, 3]
    assert sorted(known.take_unchecked()) == [2, 3]
