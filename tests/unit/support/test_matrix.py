"""The fault matrix: a row is clean only when the swarm that it befell was judged."""

from __future__ import annotations

import pytest

from tests.support.api import Api, User
from tests.support.journal import Journal
from tests.support.matrix import ANSWER_SECONDS, Matrix, broken_promises
from tests.support.swarm import Swarm


class JudgedSwarm(Swarm):
    """Nobody is in it, so it is always normal; its judgement is the test's."""

    def __init__(self, *broken: str, ends: bool = True) -> None:
        super().__init__(Api("http://127.0.0.1:1"), Journal(), User(1, "anna", "", ""), (), ())
        self._broken = broken
        self._ends = ends

    async def finish(self) -> None:
        """At once, or never."""
        if not self._ends:
            raise TimeoutError

    async def judge(self) -> list[str]:
        """What the test says."""
        return list(self._broken)


def _results(matrix: Matrix) -> dict[str, str]:
    """By row, from the table."""
    rows = list(matrix.lines())[1:]
    return {row.split("  ")[0]: row.rpartition("  ")[2] for row in rows if row.startswith("fault")}


async def test_a_row_is_judged_with_its_own_swarm_only() -> None:
    """A module whose judgement did not run is not made clean by the one of the next."""
    matrix, first, second = Matrix(), JudgedSwarm(), JudgedSwarm()
    async with matrix.fault("fault A", first):
        pass
    async with matrix.fault("fault B", second):
        pass
    await matrix.judge(second)
    assert matrix.unjudged() == ["fault A"]
    assert _results(matrix) == {"fault A": "not judged", "fault B": "clean"}
    await matrix.judge(first)
    assert matrix.unjudged() == []
    assert _results(matrix) == {"fault A": "clean", "fault B": "clean"}


async def test_one_fault_of_two_swarms_is_clean_when_both_are() -> None:
    """The row has one name and two injections."""
    matrix, first, second = Matrix(), JudgedSwarm(), JudgedSwarm()
    for swarm in (first, second):
        async with matrix.fault("fault", swarm):
            pass
    await matrix.judge(first)
    assert _results(matrix) == {"fault": "not judged"}


@pytest.mark.parametrize(
    ("swarm", "error", "result"),
    [
        (JudgedSwarm("I1: one was lost"), AssertionError, "1 violations"),
        (JudgedSwarm(ends=False), TimeoutError, "the swarm did not end"),
    ],
    ids=["broken", "endless"],
)
async def test_what_the_judgement_finds_stands_in_the_row(
    swarm: Swarm, error: type[Exception], result: str
) -> None:
    """And fails the test that judges."""
    matrix = Matrix()
    async with matrix.fault("fault", swarm):
        pass
    with pytest.raises(error):
        await matrix.judge(swarm)
    assert _results(matrix) == {"fault": result}


@pytest.mark.parametrize(("seconds", "broken"), [(ANSWER_SECONDS, []), (12.3, ["an answer took 12.3 s"])])
async def test_an_answer_that_came_too_late_is_a_broken_promise(seconds: float, broken: list[str]) -> None:
    """However well everything else went; of all answers the slowest is told."""
    swarm = JudgedSwarm()
    for took in (0.1, seconds, 0.2):
        swarm.journal.answered_in(took)
    assert await broken_promises(swarm) == broken


async def test_a_fault_that_went_wrong_once_is_not_made_good_by_the_next() -> None:
    """Injected twice, of which the first did not end as it should."""
    matrix, swarm = Matrix(), JudgedSwarm()
    with pytest.raises(TimeoutError):
        async with matrix.fault("fault", swarm):
            raise TimeoutError
    async with matrix.fault("fault", swarm):
        pass
    await matrix.judge(swarm)
    assert _results(matrix) == {"fault": "failed"}
