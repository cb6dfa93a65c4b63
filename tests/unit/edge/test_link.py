"""What the link keeps of connections for the next chat instance."""

from __future__ import annotations

from typing import Any, cast

from chassis.telemetry import Metrics
from edge.link import Link
from edge.metrics import EdgeMetrics


def link() -> Link:
    nobody: Any = cast(Any, None)
    return Link("edge-1", nobody, (), nobody, EdgeMetrics(Metrics("edge")), lambda: 0.0)


def opened_anew(one: Link) -> dict[int, str]:
    """The connections that a new stream begins with."""
    one._begin()
    return {opening.connection_id: opening.access_token for opening in one._compose(first=True).open}


def test_a_new_stream_opens_what_is_open_with_its_last_token() -> None:
    one = link()
    one.open(1, "first")
    one.open(2, "second")
    one.refresh(1, "fresh")
    one.close(2)
    assert opened_anew(one) == {1: "fresh"}


def test_a_token_that_comes_after_the_end_of_its_connection_is_dropped() -> None:
    """It was being verified when the connection ended, which must not come to life again."""
    one = link()
    one.open(1, "first")
    one.close(1)
    one.refresh(1, "fresh")
    assert opened_anew(one) == {}
