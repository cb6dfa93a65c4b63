"""Starts all parts in dependency order, keeps them running, and stops them in the reverse order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from scripts.stack.board import Board
from scripts.stack.errors import StackError
from scripts.stack.keeper import Keeper
from scripts.stack.layout import Layout
from scripts.stack.part import Part

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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


class Supervisor:
    """Keeps `parts` running until SIGTERM, SIGINT or SIGHUP; calls `on_ready` once all are ready."""

    def __init__(
        self, parts: Sequence[Part], layout: Layout, board: Board, on_ready: Callable[[], None]
    ) -> None:
        self._board = board
        self._on_ready = on_ready
        self._waves = stop_waves(parts)
        ready: dict[str, asyncio.Event] = {}
        self._keepers = {part.name: Keeper(part, layout, board, ready) for part in parts}
        ready.update({name: keeper.ready for name, keeper in self._keepers.items()})
        for part in parts:
            board.add(part.name, part.port)

    async def run(self) -> None:
        """Return when everything has ended.

        Raises StackError, after that, when a part did not come up for the first time.
        """
        over: asyncio.Future[StackError | None] = asyncio.get_running_loop().create_future()
        with _finished_by_signals(over):
            async with asyncio.TaskGroup() as group:
                tasks = {
                    name: group.create_task(_keep(keeper, over)) for name, keeper in self._keepers.items()
                }
                announcement = group.create_task(self._announce())
                error = await over
                announcement.cancel()
                self._board.set_stack("stopping")
                for wave in self._waves:
                    await _cancel([tasks[name] for name in wave])
        self._board.set_stack("failed" if error else "stopped")
        if error:
            raise error

    async def _announce(self) -> None:
        for keeper in self._keepers.values():
            await keeper.ready.wait()
        self._board.set_stack("ready")
        self._on_ready()


async def _keep(keeper: Keeper, over: asyncio.Future[StackError | None]) -> None:
    try:
        await keeper.run()
    except StackError as error:
        if not over.done():
            over.set_result(error)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@contextmanager
def _finished_by_signals(over: asyncio.Future[StackError | None]) -> Iterator[None]:
    """Within it, a signal that asks for the end sets `over`; a second one changes nothing."""
    loop = asyncio.get_running_loop()

    def finish() -> None:
        if not over.done():
            over.set_result(None)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, finish)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
