"""Pacing, the wheel and the limits: all with a clock of our own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.admission import Admission, Bucket
from edge.config import EdgeLiveSettings
from edge.origins import has_token, origin_allowed
from edge.protocol.connection import Connection
from edge.protocol.errors import TooManyConnections
from edge.wheel import Wheel


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class P:
    """As much of a peer as is needed here."""

    def __init__(self, user_id: int = 0, address: str = "10.0.0.1") -> None:
        self.connection = Connection(1)
        self.connection.user_id = user_id
        self.address = address
        self.alarm = 0
        self.allowance = self.allowance_time = 0.0


def peer(user_id: int = 0, address: str = "10.0.0.1") -> Any:
    return P(user_id, address)


# ---- the wheel ----------------------------------------------------------------------------------------


def test_an_alarm_is_not_early_and_at_most_a_tick_late() -> None:
    clock = Clock()
    wheel, one = Wheel(0.25, clock), peer()
    wheel.set(one, 5.0)
    clock.now += 4.9
    assert wheel.advance() == []
    clock.now += 0.35
    assert wheel.advance() == [one]
    assert wheel.advance() == []


def test_a_new_alarm_takes_the_place_of_the_old() -> None:
    clock = Clock()
    wheel, one = Wheel(0.25, clock), peer()
    wheel.set(one, 1.0)
    wheel.set(one, 10.0)
    clock.now += 5
    assert wheel.advance() == []
    wheel.cancel(one)
    clock.now += 50
    assert wheel.advance() == []


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 5)), max_size=20))
def test_every_alarm_rings_once(alarms: list[tuple[float, float]]) -> None:
    """However the sweeps fall."""
    clock = Clock()
    wheel, rung = Wheel(0.25, clock), []
    peers = []
    for seconds, pause in alarms:
        peers.append(peer())
        wheel.set(peers[-1], seconds)
        clock.now += pause
        rung += wheel.advance()
    clock.now += 30
    rung += wheel.advance()
    assert sorted(map(id, rung)) == sorted(map(id, peers))


# ---- limits -------------------------------------------------------------------------------------------


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    bucket = Bucket(3, 0.0)
    assert [bucket.take(1, 3, 0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1, 3, 1.0) for _ in range(2)] == [True, False]
    assert [bucket.take(1, 3, 100.0) for _ in range(4)] == [True, True, True, False]


def admission(clock: Clock, trusted: tuple[str, ...] = (), **limits: Any) -> Admission:
    settings = EdgeLiveSettings(**limits)
    return Admission(lambda: settings, trusted, clock)


def test_connections_of_a_user_are_counted_and_forgotten() -> None:
    gate = admission(Clock(), connections_per_user=2)
    first, second, third = peer(9), peer(9), peer(9)
    gate.admit(first, 9)
    gate.admit(second, 9)
    with pytest.raises(TooManyConnections):
        gate.admit(third, 9)
    gate.left(third)
    with pytest.raises(TooManyConnections):
        gate.admit(third, 9)
    gate.left(first)
    gate.admit(third, 9)


def test_connections_of_an_address_and_trusted_ones() -> None:
    gate = admission(Clock(), ("127.0.0.1",), connections_per_address=1)
    one = peer(address="10.0.0.1")
    gate.arrived(one)
    assert gate.refuse_handshake("10.0.0.1") is not None
    assert gate.refuse_handshake("10.0.0.2") is None
    gate.arrived(peer(address="127.0.0.1"))
    assert gate.refuse_handshake("127.0.0.1") is None
    gate.left(one)
    assert gate.refuse_handshake("10.0.0.1") is None


def test_silent_sockets_are_bounded() -> None:
    gate = admission(Clock(), ungreeted_connections=2)
    one, two = peer(address="10.0.0.1"), peer(address="10.0.0.2")
    gate.arrived(one)
    gate.arrived(two)
    assert gate.refuse_handshake("10.0.0.3") is not None
    gate.greeted(one)
    assert gate.refuse_handshake("10.0.0.3") is None


def test_frames_over_the_rate_are_told_how_long_to_wait() -> None:
    clock = Clock()
    gate, one = admission(clock, frames_per_second=2, frames_burst=2), peer()
    gate.arrived(one)
    assert [gate.may_send(one) for _ in range(3)] == [True, True, False]
    assert gate.wait_seconds(one) == 0.5
    clock.now += 0.5
    assert gate.may_send(one)


def test_who_keeps_still_starts_anew() -> None:
    """Frames over the rate close a connection that goes on regardless, not one that lives for long."""
    clock = Clock()
    gate, one = admission(clock, frames_per_second=2, frames_burst=2), peer()
    gate.arrived(one)
    for _ in range(2):
        gate.may_send(one)
    assert not gate.may_send(one)
    assert [gate.strike(one), gate.strike(one)] == [1, 2]
    clock.now += 0.5
    gate.may_send(one)
    assert gate.strike(one) == 3
    clock.now += 1.5
    gate.may_send(one)
    assert gate.strike(one) == 1


# ---- origins --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "x", True),
        ("http://x", "x", True),
        ("https://x", "x", True),
        ("https://x:8080", "x:8080", True),
        ("https://y", "x", False),
        ("https://x", "x:8080", False),
        ("null", "x", False),
        ("", "", False),
        ("http://", "", False),
        ("https://listed", "x", True),
        ("https://listed.evil", "x", False),
        ("ftp://x", "x", False),
    ],
)
def test_origins(origin: str | None, host: str, allowed: bool) -> None:
    assert origin_allowed(origin, host, {"https://listed"}) is allowed


@pytest.mark.parametrize("query", ["token=", "a=1&Access_Token=x", "accessToken=x", "x=eyJa.eyJb.c"])
def test_tokens_in_urls(query: str) -> None:
    assert has_token(query)


@pytest.mark.parametrize("query", ["", "a=1", "tokens=x", "room=eyJa", "v=1.2.3"])
def test_no_tokens_in_urls(query: str) -> None:
    assert not has_token(query)
