"""How often a frame leaves: at once when it is quiet, gathered when it is busy, prompt again after it."""

from __future__ import annotations

import pytest

from edge.pacing import BUSY_RATE, BUSY_SECONDS, Pace


def frames(per_second: int, least: float = 0.0, seconds: float = 3.0) -> tuple[int, float]:
    """Frames that leave in the last second, and the longest wait, when this much wants to."""
    pace, waiting, sent, longest = Pace(lambda: least), None, 0, 0.0
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


def test_a_least_gap_gathers_what_a_quiet_link_would_not() -> None:
    """Who wants it cheap sets a gap; a message that comes alone still leaves at once."""
    sent, longest = frames(200, least=0.05)
    assert sent <= 22
    assert 0.04 < longest <= 0.05 + 1e-9
    assert frames(5, least=0.05)[1] == 0.0


def test_a_least_gap_below_that_of_a_busy_link_changes_nothing_there() -> None:
    """The longer of the two holds."""
    assert abs(frames(2000, least=0.005)[0] - frames(2000)[0]) <= 2


def test_a_busy_link_that_falls_quiet_is_prompt_again() -> None:
    """The next message after a pause leaves at once."""
    pace = Pace()
    for index in range(1000):
        pace.offered(index / 1000)
    pace.sent(1.0)
    assert pace.wait(1.0) > 0
    pace.offered(2.5)
    assert pace.wait(2.5) == 0.0


@pytest.mark.parametrize(("rate", "gap"), [(BUSY_RATE - 10, 0.0), (BUSY_RATE + 10, BUSY_SECONDS)])
def test_the_rate_decides(rate: float, gap: float) -> None:
    """At once below it; from frame to frame above it."""
    pace, now = Pace(), 100.0
    for _ in range(int(rate)):
        now += 1 / rate
        pace.offered(now)
    pace.sent(now)
    assert pace.wait(now) == pytest.approx(gap)
    assert pace.wait(now + gap) == pytest.approx(0.0)
