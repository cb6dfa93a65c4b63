"""What a person sees of the board: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.table import Table

from scripts.stack.board import PartStatus

COLOURS = {
    "ready": "green",
    "external": "green",
    "restarting": "red",
    "failed": "red",
    "waiting": "dim",
    "stopped": "dim",
}


def part_table(parts: Iterable[PartStatus]) -> Table:
    """The table of `up` and `status`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("part", "state", "port", "pid", "restarts"):
        table.add_column(name, justify="right" if name in ("port", "pid", "restarts") else "left")
    for row in parts:
        table.add_row(
            row.part,
            f"[{COLOURS.get(row.state, 'yellow')}]{row.state}[/]",
            str(row.port or ""),
            str(row.pid or ""),
            str(row.restarts or ""),
        )
    return table


class PlainView:
    """One line for each change: for files, pipes and continuous integration."""

    def changed(self, parts: Iterable[PartStatus], row: PartStatus) -> None:
        del parts  # the line is about one of them
        port = f" port {row.port}" if row.port else ""
        print(f"{row.part:<10} {row.state}{port}" + (f" pid {row.pid}" if row.pid else ""), flush=True)

    def say(self, line: str) -> None:
        print(line, flush=True)


class TableView:
    """The table, redrawn at each change; sentences scroll above it."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def changed(self, parts: Iterable[PartStatus], row: PartStatus) -> None:
        del row  # the whole table is drawn anew
        self._live.update(part_table(parts), refresh=True)

    def say(self, line: str) -> None:
        self._live.console.print(line, markup=False, highlight=False)


def live_table(console: Console) -> Live:
    """The terminal's live region; redrawn by us alone, so it costs nothing while nothing happens."""
    return Live(console=console, auto_refresh=False)
