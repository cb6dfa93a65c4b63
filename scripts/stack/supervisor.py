"""Starts all parts in dependency order, keeps them running, and stops them in the reverse order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

from scripts.stack.board import Board
from scripts.stack.errors import StackError
from scripts.stack.keeper import Keeper
from scripts.stack.layout import Layout
from scripts.stack.part import Part


def stop_waves(parts: Sequence[Part]) -> list[list[str]]:
    """The names in the order in which to stop them: none before everything that needs it."""
    left = {part.name: part.needs for part in parts}
    waves: list[list[str]] = []
    while left:
        needed = frozenset[str]().union(*left.values())
        wave = [name for name in left if name not in needed]
        if not wave:
            raise ValueError(f"parts need each other in a circle: {sorted(left)}")
        waves.append(wave)
        left = {name: needs for name, needs in left.items() if name not in wave}
    return waves


async def supervise(
    parts: Sequence[Part], layout: Layout, board: Board, on_ready: Callable[[], None]
) -> None:
    """Run `parts` until SIGTERM or SIGINT; call `on_ready` once all of them are ready.

    Raises StackError, after everything was stopped, when a part does not come up for the first time.
    """
    over: asyncio.Future[StackError | None] = asyncio.get_running_loop().create_future()

    def finish(error: StackError | None) -> None:
        if not over.done():
            over.set_result(error)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, finish, None)

    ready: dict[str, asyncio.Event] = {}
    keepers = [Keeper(part, layout, board, ready) for part in parts]
    ready.update({keeper.part.name: keeper.ready for keeper in keepers})
    for part in parts:
        board.add(part.name, part.port)

    async def keep(keeper: Keeper) -> None:
        try:
            await keeper.run()
        except StackError as error:
            finish(error)

    async def announce() -> None:
        for keeper in keepers:
            await keeper.ready.wait()
        board.set_stack("ready")
        on_ready()

    async with asyncio.TaskGroup() as group:
        tasks = {keeper.part.name: group.create_task(keep(keeper)) for keeper in keepers}
        announcement = group.create_task(announce())
        error = await over
        announcement.cancel()
        board.set_stack("stopping")
        for wave in stop_waves(parts):
            for name in wave:
                tasks[name].cancel()
            await asyncio.wait([tasks[name] for name in wave])
    board.set_stack("failed" if error else "stopped")
    if error:
        raise error
