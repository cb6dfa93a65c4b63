"""What the watcher of one service says of it."""

from __future__ import annotations

from typing import Any, cast

from discovery.agent import Agent, Instance
from discovery.watcher import ServiceWatcher

ONE, OTHER = Instance("user-1", "127.0.0.1", 1), Instance("user-2", "127.0.0.1", 2)


async def test_that_no_instance_passes_is_told_and_changes_nothing() -> None:
    """The last good ones stay in use; one that passes again ends it, and a service never seen is no case."""
    told: list[Any] = []
    watcher = ServiceWatcher(cast(Agent, None), "user", told.append, clock=lambda: 0.0)
    problems = []
    for passing in ([], [ONE, OTHER], [], [ONE]):
        found = [(instance, instance in passing) for instance in (ONE, OTHER)]
        watcher.answered(found, after_break=False)
        problems.append(watcher.problem())
        assert watcher.members.good == ((ONE, OTHER) if len(problems) in (2, 3) else watcher.members.good)
    critical = "no instance of user passes its check; those known last are used"
    assert problems == [None, None, critical, None]
