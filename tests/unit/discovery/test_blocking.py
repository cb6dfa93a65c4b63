"""The rules of blocking queries, with answers that a test makes up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from discovery.agent import ConsulAway
from discovery.blocking import follow, next_index


class Script:
    """Answers in turn: an index, or None for Consul away; then waits for ever. Records all that is done."""

    def __init__(self, answers: Sequence[int | None]) -> None:
        self._answers = list(answers)
        self.asked: list[int] = []
        self.started: list[float] = []
        self.heard: list[str] = []
        self.now = 0.0
        self.done = asyncio.Event()

    async def ask(self, index: int, _wait: float) -> tuple[int, str]:
        self.asked.append(index)
        self.started.append(self.now)
        if not self._answers:
            self.done.set()
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if answer is None:
            raise ConsulAway("away")
        return answer, f"at {answer}"

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def answered(self, value: str, *, after_break: bool) -> None:
        self.heard.append(value + (" after a break" if after_break else ""))

    def away(self, error: ConsulAway) -> None:
        self.heard.append(str(error))

    def wait_seconds(self) -> float:
        return 20.0

    async def play(self) -> None:
        task = asyncio.create_task(follow(self.ask, self, sleep=self.sleep, clock=lambda: self.now))
        await asyncio.wait_for(self.done.wait(), 5)
        task.cancel()


@pytest.mark.parametrize(
    ("known", "answered", "expected"),
    [(0, 7, 7), (7, 7, 7), (7, 9, 9), (9, 3, 0), (0, 0, 1), (5, 0, 0)],
)
def test_the_index_falls_back_to_zero_and_is_never_sent_as_zero_once_known(
    known: int, answered: int, expected: int
) -> None:
    assert next_index(known, answered) == expected


async def test_an_index_that_falls_back_starts_anew_and_says_so() -> None:
    script = Script([7, 3, 4])
    await script.play()
    assert script.asked == [0, 7, 0, 4]
    assert script.heard == ["at 7", "at 3 after a break", "at 4"]


async def test_after_an_outage_the_index_starts_anew_and_the_first_answer_says_so() -> None:
    script = Script([7, None, None, 8, 9])
    await script.play()
    assert script.asked == [0, 7, 0, 0, 8, 9]
    assert script.heard == ["at 7", "away", "away", "at 8 after a break", "at 9"]


@pytest.mark.parametrize("answers", [[1] * 40, [None] * 40, [9, 1] * 20])
async def test_at_most_two_requests_a_second_whatever_the_answers_do(answers: list[int | None]) -> None:
    script = Script(answers)
    await script.play()
    for earlier, later in zip(script.started, script.started[1:], strict=False):
        assert later - earlier >= 0.5


async def test_retries_are_spread_and_stay_frequent_enough_to_heal() -> None:
    """Never more than 4 s apart, and not all alike."""
    script = Script([None] * 60)
    await script.play()
    waits = [later - earlier for earlier, later in zip(script.started, script.started[1:], strict=False)]
    assert max(waits) <= 4.0
    assert len(set(waits[10:])) > 10
