"""How often a frame leaves: at once when it is quiet, gathered when it is busy, prompt again after it."""

from __future__ import annotations

import pytest

from edge.pacing import BUSY_SECONDS, STEPS, Pace

MIDDLE_SECONDS = STEPS[1][1]


def frames(per_second: int, seconds: float = 3.0) -> tuple[int, float]:
    """Frames that leave in the last second, and the longest wait, when this much wants to."""
    pace, waiting, sent, longest = Pace(), None, 0, 0.0
    for index in range(int(seconds * per_second)):
        now = index / per_second
        if waiting is not None and waiting <= now:
            pace.sent(waiting)
            sent += waiting > seconds - 1
            waiting = None
        pace.offered(now)
        if waiting is None:
            waiting = now + pace.wait(now)
            longest = max(longest, waiting - now)
    return sent, longest


def test_a_quiet_link_waits_for_nothing() -> None:
    """Nobody waits for company that does not come."""
    assert frames(40)[1] == 0.0


def test_a_busy_link_gathers() -> None:
    """The frames of a second are bounded, whatever there is to send."""
    sent, longest = frames(2000)
    assert sent <= 1 / BUSY_SECONDS + 2
    assert longest <= BUSY_SECONDS + 1e-9


def test_in_between_it_gathers_a_little() -> None:
    """A pace shorter than the gap between two messages holds hardly any of them back."""
    sent, longest = frames(100)
    assert longest <= MIDDLE_SECONDS + 1e-9
    assert sent >= 90


def test_a_busy_link_that_falls_quiet_is_prompt_again() -> None:
    """The next message after a pause leaves at once."""
    pace = Pace()
    for index in range(1000):
        pace.offered(index / 1000)
    pace.sent(1.0)
    assert pace.wait(1.0) > 0
    pace.offered(2.5)
    assert pace.wait(2.5) == 0.0


@pytest.mark.parametrize(("rate", "gap"), [(10, 0.0), (100, MIDDLE_SECONDS), (1000, BUSY_SECONDS)])
def test_the_steps(rate: int, gap: float) -> None:
    """At once, 5 ms from frame to frame above 50 a second, 20 ms above 150."""
    pace, now = Pace(), 100.0
    for _ in range(rate):
        now += 1 / rate
        pace.offered(now)
    pace.sent(now)
    assert pace.wait(now) == pytest.approx(gap)
    assert pace.wait(now + gap) == pytest.approx(0.0)
