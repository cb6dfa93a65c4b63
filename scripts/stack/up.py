"""What `up` does: check, clear what a crash left, put the parts together, supervise them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scripts.stack import pids
from scripts.stack.board import Board, View
from scripts.stack.errors import StackError
from scripts.stack.layout import Layout, Wish
from scripts.stack.listening import check_free
from scripts.stack.plan import Plan, make_plan
from scripts.stack.supervisor import Supervisor

LEFT_OVER_SECONDS = 10.0


@contextmanager
def only_supervisor(layout: Layout) -> Iterator[None]:
    """Be the one supervisor of this data folder; raise StackError when there is one already."""
    with layout.lock_file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = pids.alive(layout.run, pids.SUPERVISOR)
            raise StackError(
                f"It runs already on {layout.data} (pid {pid}). Stop it with ./scripts/down --data "
                f"{layout.data}, or choose another folder with --data."
            ) from None
        pids.write(layout.run, pids.SUPERVISOR, os.getpid())
        try:
            yield
        finally:
            pids.remove(layout.run, pids.SUPERVISOR)


def run_up(layout: Layout, wish: Wish, view: View, on_ready: Callable[[], None]) -> None:
    """Start everything and return after SIGTERM or SIGINT, when everything has ended.

    `on_ready` is called once. Raises StackError with what to do.
    """
    layout.make()
    if layout.restoring.exists() and not wish.parts_only:
        raise StackError(
            f"A restore into {layout.data} was begun and has not ended. Let it end, or run `polychat "
            "restore` again as before, which begins anew; to give it up, remove that folder."
        )
    with only_supervisor(layout):
        for name in pids.left_over(layout.run):
            view.say(f"{name} is left over from a killed supervisor; ending it.")
            pids.end(layout.run, name, LEFT_OVER_SECONDS)
        pids.forget_dead(layout.run)
        asyncio.run(_run(layout, wish, view, on_ready))


async def _run(layout: Layout, wish: Wish, view: View, on_ready: Callable[[], None]) -> None:
    plan = make_plan(layout, wish.ports, wish.edges, wish.parts_only)
    for port, part, option in plan.listens:
        check_free(port, part, option)
    board = Board(layout.state_file, layout.log("up"), view, plan.urls)

    def ready() -> None:
        for line in greeting(layout, plan):
            board.say(line)
        sys.stdout.flush()
        on_ready()

    await Supervisor(plan.parts, layout, board, ready).run()


def greeting(layout: Layout, plan: Plan) -> list[str]:
    """What a person wants to know once everything runs."""
    lines = []
    if "http" in plan.urls:
        lines = [f"web page   {plan.urls['http']}", f"gRPC       {plan.urls['grpc']}"]
    return [*lines, f"logs       {layout.logs}", f"stop with  ./scripts/down --data {layout.data}"]
