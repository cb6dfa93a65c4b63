"""The state of every part, in one place: written to state.json at each change and shown by a view."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

PartState = Literal[
    "waiting", "preparing", "starting", "ready", "restarting", "external", "stopping", "stopped", "failed"
]
StackState = Literal["starting", "ready", "stopping", "stopped", "failed"]

Urls = Mapping[str, object]


@dataclass(slots=True)
class PartStatus:
    """One row of the table. `restarts` counts deaths since this `up` began."""

    part: str
    port: int | None
    state: PartState = "waiting"
    pid: int | None = None
    restarts: int = 0


class View(Protocol):
    """Shows the board to whoever runs `up`."""

    def changed(self, parts: Iterable[PartStatus], row: PartStatus) -> None:
        """`row`, one of `parts`, is new."""

    def say(self, line: str) -> None:
        """One sentence for the person."""


class Board:
    """Every change goes to the state file (whole or not at all), to the view and, in words, to up.log.

    What a full disk does not take is left out: the next change says it again.
    """

    def __init__(self, state_file: Path, log_file: Path, view: View, urls: Urls) -> None:
        self._state_file = state_file
        self._log_file = log_file
        self._view = view
        self._urls = urls
        self._rows: dict[str, PartStatus] = {}
        self._state: StackState = "starting"

    def add(self, part: str, port: int | None) -> None:
        self._rows[part] = PartStatus(part, port)

    def set(self, part: str, state: PartState, pid: int | None = None) -> None:
        row = self._rows[part]
        if state == "restarting":
            row.restarts += 1
        row.state, row.pid = state, pid
        self._log(f"{part} {state}" + (f" pid {pid}" if pid else ""))
        self._write()
        self._view.changed(self._rows.values(), row)

    def set_stack(self, state: StackState) -> None:
        self._state = state
        self._log(f"stack {state}")
        self._write()

    def say(self, line: str) -> None:
        self._log(line)
        self._view.say(line)

    def _log(self, line: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with contextlib.suppress(OSError), self._log_file.open("a") as file:
            file.write(f"{now} {line}\n")

    def _write(self) -> None:
        rows = [
            {"part": row.part, "state": row.state, "port": row.port, "pid": row.pid, "restarts": row.restarts}
            for row in self._rows.values()
        ]
        document = {"state": self._state, "pid": os.getpid(), "parts": rows, "urls": self._urls}
        draft = self._state_file.with_suffix(".new")
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps(document, indent=2) + "\n")
            draft.replace(self._state_file)
