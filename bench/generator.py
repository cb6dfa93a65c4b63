"""Runs the generator of bench/load and counts a server's CPU during the measured time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MUST_BE_ZERO = ("lost", "twice", "holes", "gapped", "refused", "unanswered", "unsent", "closed")
LINE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """What the generator saw, and the CPU seconds of each part of the server meanwhile."""

    seen: dict[str, Any]
    cpu: dict[str, float]

    @property
    def deliveries(self) -> int:
        """Of the measured time."""
        return int(self.seen["measuredMessages"] * self.seen["members"])

    @property
    def micros(self) -> float:
        """CPU of the whole server per delivery."""
        return sum(self.cpu.values()) * 1e6 / self.deliveries

    @property
    def parts(self) -> dict[str, float]:
        """The same of each part."""
        return {part: spent * 1e6 / self.deliveries for part, spent in self.cpu.items()}

    @property
    def generator_micros(self) -> float:
        """CPU of the generator per delivery."""
        return float(self.seen["generatorCpuSeconds"]) * 1e6 / self.deliveries

    def broken(self, who: str) -> list[str]:
        """What was promised and did not hold."""
        found = [f"{who}: {self.seen[kind]} {kind}" for kind in MUST_BE_ZERO if self.seen[kind]]
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.seen["reasons"].items())
        return [*found, f"{who}: {reasons}"] if reasons else found


async def generate(program: Path, words: Sequence[object], cpu: Callable[[], dict[str, float]]) -> Measured:
    """One run. RuntimeError when the generator gives up: it said why."""
    command = [str(word) for word in (program, *words)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES)
    assert process.stdout is not None
    used: dict[str, dict[str, float]] = {}
    seen: dict[str, Any] = {}
    try:
        async for line in process.stdout:
            mark = line.decode().strip()
            if mark in ("begin", "end"):
                used[mark] = cpu()
            else:
                seen = json.loads(line)
    except asyncio.CancelledError:
        process.kill()
        raise
    finally:
        await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    begin, end = used["begin"], used["end"]
    return Measured(seen, {part: spent - begin.get(part, 0.0) for part, spent in end.items()})
