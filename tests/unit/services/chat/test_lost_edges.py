"""Who tells of an edge that stands still, and for how long."""

from __future__ import annotations

from services.chat.lost_edges import TOLD_SECONDS, LostEdges


class Now:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_lost_edge_is_counted_and_told_of_until_it_is_back() -> None:
    counted: list[None] = []
    edges = LostEdges(Now(), lambda: counted.append(None))
    assert edges.problem() is None
    edges.lost("edge-2", 7)
    edges.lost("edge-1", 1)
    assert edges.problem() == "lost edge-1, edge-2"
    edges.back("edge-2")
    assert edges.problem() == "lost edge-1"
    assert len(counted) == 2


def test_one_that_stays_away_is_told_of_for_a_while_only() -> None:
    now = Now()
    edges = LostEdges(now, lambda: None)
    edges.lost("edge-1", 1)
    now.seconds += TOLD_SECONDS - 1
    edges.lost("edge-2", 1)
    now.seconds += 1
    assert edges.problem() == "lost edge-2"
