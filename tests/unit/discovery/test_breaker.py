"""When the breaker lets calls through."""

from __future__ import annotations

from discovery.backoff import Backoff
from discovery.breaker import FAILURES_TO_OPEN, OPEN_FIRST_SECONDS, Breaker, State


class Bench:
    """A breaker with a clock in hand and pauses that are not random."""

    def __init__(self) -> None:
        self.now = 0.0
        self.states: list[State] = []
        backoff = Backoff(OPEN_FIRST_SECONDS, 4.0, uniform=lambda _low, high: high)
        self.breaker = Breaker(lambda: self.now, self.states.append, backoff)

    def fail(self, times: int = FAILURES_TO_OPEN) -> None:
        for _ in range(times):
            self.breaker.failed()


def test_a_run_of_failures_opens_it_and_a_success_in_between_does_not_let_it() -> None:
    bench = Bench()
    bench.fail(FAILURES_TO_OPEN - 1)
    bench.breaker.succeeded()
    bench.fail(FAILURES_TO_OPEN - 1)
    assert bench.breaker.admit()
    bench.fail(1)
    assert not bench.breaker.admit()
    assert bench.states == [State.OPEN]


def test_after_the_pause_one_call_goes_out_and_its_success_closes_it() -> None:
    bench = Bench()
    bench.fail()
    bench.now = OPEN_FIRST_SECONDS
    assert bench.breaker.admit()
    assert not bench.breaker.admit()
    bench.breaker.succeeded()
    assert bench.breaker.admit()
    assert bench.states == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_a_failed_probe_opens_it_for_twice_as_long() -> None:
    bench = Bench()
    bench.fail()
    bench.now = OPEN_FIRST_SECONDS
    assert bench.breaker.admit()
    bench.fail(1)
    bench.now += 1.5 * OPEN_FIRST_SECONDS
    assert not bench.breaker.admit()
    bench.now += 0.5 * OPEN_FIRST_SECONDS
    assert bench.breaker.admit()


def test_a_probe_that_its_caller_gave_up_leaves_its_place_to_the_next_call() -> None:
    bench = Bench()
    bench.fail()
    bench.now = OPEN_FIRST_SECONDS
    assert bench.breaker.admit()
    bench.breaker.abandoned()
    assert bench.breaker.admit()


def test_a_late_failure_ends_the_turn_of_the_probe() -> None:
    bench = Bench()
    bench.fail()
    bench.now = OPEN_FIRST_SECONDS
    assert bench.breaker.admit()
    bench.fail(1)
    assert bench.states == [State.OPEN, State.HALF_OPEN, State.OPEN]
    assert not bench.breaker.admit()


def test_calls_that_were_under_way_when_it_opened_do_not_prolong_it() -> None:
    bench = Bench()
    bench.fail()
    bench.now = OPEN_FIRST_SECONDS - 0.1
    bench.fail(50)
    bench.now = OPEN_FIRST_SECONDS
    assert bench.breaker.admit()
