"""What `down` does: end the supervisor, which stops everything in order, and whatever a killed one left."""

from __future__ import annotations

from scripts.stack import pids
from scripts.stack.errors import StackError
from scripts.stack.layout import Layout

# More than all parts may take one after the other (see each part's stop_seconds).
SUPERVISOR_SECONDS = 120.0
LEFT_OVER_SECONDS = 10.0


def run_down(layout: Layout) -> str:
    """Stop the stack and return what happened, as a sentence; raise StackError when it cannot be stopped."""
    try:
        pid = pids.alive(layout.run, pids.SUPERVISOR)
        if pid:
            pids.end(layout.run, pids.SUPERVISOR, SUPERVISOR_SECONDS)
        left = pids.left_over(layout.run)
        for name in left:
            pids.end(layout.run, name, LEFT_OVER_SECONDS)
        pids.forget_dead(layout.run)
    except PermissionError as error:
        raise StackError(
            f"The stack on {layout.data} belongs to another user; only that user can stop it."
        ) from error
    if left:
        return f"Ended what a killed supervisor had left: {', '.join(left)}."
    return "Stopped." if pid else f"Nothing runs on {layout.data}."
