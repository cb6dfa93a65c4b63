"""Whether a fault can be seen from outside while it lasts (SEEN): in a metric, a log line and readiness."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from chassis.health import CHECK_SECONDS
from tests.support.eventually import eventually
from tests.support.signs import Signs
from tests.support.stack import Stack

SEEN_SECONDS = 10.0
"""From the injection of a fault until it can be seen everywhere."""
CALM_SECONDS = 30.0
"""For what the fault before has left behind (HEAL): signs of that one would pass for signs of this one."""
LOUD = frozenset({"warning", "error", "critical"})
TRAFFIC = "_bucket{"
PROBLEM, FINE = "_problem{", "0.0"
"""A check that is fine again, or of a process that is new, shows no fault."""
ASK_SECONDS = 1.0
"""A process that stands still answers nobody; the others are not kept waiting for it."""
CHECKS_SECONDS = CHECK_SECONDS + ASK_SECONDS
"""Readiness answers when its slowest check has been given up."""


@dataclass(frozen=True)
class Look:
    """What all processes show at one moment; who did not answer is missing."""

    samples: Mapping[str, str]
    """`process name{labels}` → value."""
    troubles: Mapping[str, str]
    """`process/check` → why a process is not ready, or ready and degraded."""


@dataclass
class Sight:
    """What has changed since it was opened."""

    stack: Stack
    _http: httpx.AsyncClient
    before: Look
    _logs: Mapping[Path, int]
    metrics: set[str] = field(default_factory=set)
    """Samples that moved; those of processes started meanwhile count too."""
    lines: list[str] = field(default_factory=list)
    """Warnings and errors that our processes wrote, whole."""
    troubles: dict[str, str] = field(default_factory=dict)
    """What was not a trouble before."""

    async def lasts(self, signs: Signs | None, seconds: float) -> None:
        """Lets a fault that begins now last so long, and longer until it was seen, if it has signs.

        Raises TimeoutError as `everything` does.
        """
        began = time.monotonic()
        if signs is not None:
            await self.everything(metric=signs.metric, log=signs.log, trouble=signs.trouble, since=began)
        # The rest of the time it lasts; nothing is waited for.
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))

    async def everything(
        self, *, metric: str, log: str, trouble: str | None, since: float | None = None
    ) -> None:
        """Returns when a sample, a loud log line and a readiness that match these have shown the fault.

        `metric` must name the outage, not the traffic: it is searched for in `process name{labels}`. With
        `trouble` None the fault is not one that readiness shows, such as a setting that is refused. Raises
        TimeoutError with what was not seen SEEN_SECONDS after the injection at `since` (monotonic; now).
        """
        within = SEEN_SECONDS if since is None else since + SEEN_SECONDS - time.monotonic()
        wanted: dict[str, tuple[str, Callable[[], Iterable[str]]]] = {
            "metric": (metric, lambda: self.metrics),
            "log line": (log, lambda: self.lines),
        }
        if trouble is not None:
            wanted["readiness"] = trouble, lambda: (f"{name}: {why}" for name, why in self.troubles.items())
        blind: list[str] = []

        async def all_seen() -> bool:
            await self.look()
            blind[:] = [
                f"no {kind} like {pattern!r} among {[one for one in sorted(shown()) if TRAFFIC not in one]}"
                for kind, (pattern, shown) in wanted.items()
                if not any(re.search(pattern, one) for one in shown())
            ]
            return not blind

        try:
            await eventually(all_seen, seconds=within, what="sight of the fault")
        except TimeoutError as error:
            raise TimeoutError("; ".join([str(error), *blind])) from None

    async def look(self) -> None:
        """Notes what is new."""
        now = await _look(self._http, self.stack)
        self.metrics |= {
            name
            for name, value in now.samples.items()
            if self.before.samples.get(name) != value and (value != FINE or PROBLEM not in name)
        }
        self.troubles |= {name: why for name, why in now.troubles.items() if name not in self.before.troubles}
        self.lines = [line for log, start in self._logs.items() for line in _loud(log, start)]


@asynccontextmanager
async def sight(stack: Stack) -> AsyncIterator[Sight]:
    """Opens the eyes when nothing is the matter: open it before the fault is injected."""
    async with _client() as http:
        ours = stack.state()["urls"]["metricsPorts"]
        logs = [stack.data / "logs" / f"{name}.log" for name in ours]

        async def calm() -> Look | None:
            look = await _look(http, stack)
            return None if look.troubles else look

        before = await eventually(calm, seconds=CALM_SECONDS, what="a moment without troubles")
        assert before is not None
        yield Sight(stack, http, before, {log: log.stat().st_size for log in logs})


async def troubles_now(stack: Stack) -> Mapping[str, str]:
    """By `process/check`, of all processes that answer."""
    async with _client() as http:
        return (await _look(http, stack)).troubles


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=ASK_SECONDS, trust_env=False)


async def _look(http: httpx.AsyncClient, stack: Stack) -> Look:
    ports: dict[str, int] = stack.state()["urls"]["metricsPorts"]
    shown = await asyncio.gather(*(_shown(http, name, port) for name, port in ports.items()))
    samples: dict[str, str] = {}
    troubles: dict[str, str] = {}
    for one in shown:
        samples |= one.samples
        troubles |= one.troubles
    return Look(samples, troubles)


async def _shown(http: httpx.AsyncClient, process: str, port: int) -> Look:
    try:
        metrics = await http.get(f"http://127.0.0.1:{port}/metrics")
        readiness = (await http.get(f"http://127.0.0.1:{port}/readyz", timeout=CHECKS_SECONDS)).json()
    except httpx.TransportError:
        return Look({}, {})
    lines = [line.rpartition(" ") for line in metrics.text.splitlines() if not line.startswith("#")]
    samples = {f"{process} {name}": value for name, _, value in lines}
    troubles: dict[str, Any] = readiness["problems"] | readiness["degraded"]
    return Look(samples, {f"{process}/{check}": str(why) for check, why in troubles.items()})


def _loud(log: Path, start: int) -> Iterable[str]:
    """What a process said at a level that somebody is woken by; a rotated log is read from its beginning."""
    with log.open("rb") as file:
        file.seek(start if log.stat().st_size >= start else 0)
        lines = file.read().decode(errors="replace").splitlines()
    return [line for line in lines if line.startswith("{") and _level(line) in LOUD]


def _level(line: str) -> str:
    try:
        return str(json.loads(line).get("level"))
    except ValueError:
        return ""
