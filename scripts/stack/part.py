"""What the supervisor needs to know of a process that it starts."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

Identity = Literal["self", "nobody", "mapped"]


@dataclass(frozen=True, slots=True)
class Launch:
    """How to execute a part: command, environment (the whole of it), folder and user."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    identity: Identity = "self"


class Part(ABC):
    """One process of the stack. The supervisor calls the methods in the order in which they stand here."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_seconds: ClassVar[float] = 60.0
    stop_seconds: ClassVar[float] = 15.0

    def __init__(self, name: str, port: int | None, needs: frozenset[str] = frozenset()) -> None:
        self.name = name
        self.port = port
        self.needs = needs

    async def fetch(self) -> None:  # noqa: B027 (most parts have nothing to do)
        """Slow work that needs no other part: downloads, builds, first-time folders. Raises StackError."""

    async def prepare(self) -> None:  # noqa: B027 (most parts have nothing to do)
        """Before every start: write the settings, clear away what a crash left."""

    @abstractmethod
    def launch(self) -> Launch | None:
        """How to start it; None when it runs elsewhere and is only waited for."""

    @abstractmethod
    async def probe(self) -> None:
        """Return when it can be used now; raise NotReadyError with the reason when not."""

    async def provision(self) -> None:  # noqa: B027 (most parts have nothing to do)
        """After it was ready for the first time: make what others expect to find in it. Raises StackError."""
