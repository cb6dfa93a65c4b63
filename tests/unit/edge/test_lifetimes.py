"""Heartbeats by a clock of our own: who answers is asked rarely, who is gone is let go soon."""

from __future__ import annotations

from typing import Any

import pytest

from edge.config import EdgeSettings
from edge.lifetimes import FINISH_SECONDS, Lifetimes
from edge.protocol.codes import CloseCode
from edge.protocol.connection import Connection, Phase
from edge.wheel import Wheel

HEARTBEAT, CLOSE_SECONDS, GONE_SECONDS = 25.0, 5.0, 45.0
"""GONE: a dead peer's connection is over by then, its closing handshake included."""
STEP = 0.25


class Silent:
    """A peer that is open, and whose pings are counted."""

    slow = False
    backlog = 0
    takes = True

    def __init__(self) -> None:
        self.connection = Connection(1)
        self.connection.phase = Phase.OPEN
        self.connection.expire_time = 1e9
        self.alarm = 0
        self.pinged = 0

    def still_takes(self) -> bool:
        """It does while there is something to take."""
        return self.takes

    def send(self, _frame: object) -> None:
        """A ping: nothing else is due."""
        self.pinged += 1


class World:
    """Time that passes, one peer in it, and its end."""

    def __init__(self) -> None:
        self.now = 0.0
        self.peer = Silent()
        self.pings: list[float] = []
        self.closed: tuple[float, CloseCode] | None = None
        settings = EdgeSettings.model_construct(heartbeat_seconds=HEARTBEAT, token_warning_seconds=60.0)
        wheel = Wheel(STEP, lambda: self.now)
        peer: Any = self.peer
        self.lifetimes = Lifetimes(settings, wheel, self._close, lambda _: 0, lambda: self.now)
        self.lifetimes.keep(peer)

    def _close(self, peer: Any, code: CloseCode, failure: object = None, request_id: int = 0) -> None:
        del peer, failure, request_id
        self.closed = self.now, code

    def pass_(self, seconds: float, *, answers: bool) -> None:
        """Time passes; a peer that answers does so at once."""
        for _ in range(int(seconds / STEP)):
            self.now += STEP
            before = self.peer.pinged
            self.lifetimes.sweep()
            if self.peer.pinged > before:
                self.pings.append(self.now)
                if answers:
                    self.peer.connection.missed = 0


def test_who_has_much_to_take_is_not_asked() -> None:
    """Its answer would come when it has taken the rest; then it is asked again."""
    world = World()
    world.peer.backlog = 16 * 1024
    world.pass_(40 * HEARTBEAT, answers=False)
    assert (world.pings, world.closed) == ([], None)
    world.peer.takes = False
    world.pass_(3 * HEARTBEAT, answers=False)
    assert world.closed is not None


def test_who_answers_is_asked_once_a_heartbeat() -> None:
    """As often as before, for ever: an idle connection costs one ping in 25 s."""
    world = World()
    world.pass_(40 * HEARTBEAT, answers=True)
    assert world.closed is None
    gaps = [later - earlier for earlier, later in zip(world.pings, world.pings[1:], strict=False)]
    assert all(gap == pytest.approx(HEARTBEAT, abs=2 * STEP) for gap in gaps)


@pytest.mark.parametrize("lived", [0.0, 10.0, HEARTBEAT, 30.0, 2 * HEARTBEAT + 7, 100.0])
def test_who_is_gone_is_let_go_in_time(lived: float) -> None:
    """After two pings without an answer, whenever it went."""
    world = World()
    world.pass_(lived, answers=True)
    world.pass_(2 * HEARTBEAT, answers=False)
    assert world.closed is not None
    when, code = world.closed
    assert code is CloseCode.NO_HEARTBEAT
    assert when - lived <= GONE_SECONDS - CLOSE_SECONDS
    assert sum(ping > lived for ping in world.pings) == 2


def test_a_new_token_does_not_put_off_the_turn_to_leave() -> None:
    """Else the connection would be cut at the end of the drain, without a word."""
    world = World()
    peer: Any = world.peer
    world.lifetimes.drain([peer], 0.0)
    world.lifetimes.keep(peer)
    world.pass_(3 * STEP, answers=True)
    assert world.closed is not None
    assert world.closed[1] is CloseCode.SHUTTING_DOWN


@pytest.mark.parametrize(("in_flight", "extra"), [(0, 0.0), (1, FINISH_SECONDS)])
def test_whose_turn_to_leave_comes_while_they_wait_is_answered_first(in_flight: int, extra: float) -> None:
    """A second more, and no longer: who always asks has to go as well."""
    world = World()
    peer: Any = world.peer
    peer.connection.in_flight = in_flight
    world.lifetimes.drain([peer], 0.0)
    world.pass_(extra, answers=True)
    assert world.closed is None
    world.pass_(3 * STEP, answers=True)
    assert world.closed is not None
    assert world.closed[1] is CloseCode.SHUTTING_DOWN
