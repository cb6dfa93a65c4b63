"""How every process starts and ends: settings, logs, loop, signals, health port, then the app.

An app is an async context manager: what it opens on the way in it closes on the way out. SIGTERM
and SIGINT set `process.draining` and end the context; a failing task of the app ends the process.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, NoReturn, TypeVar

import uvloop
from pydantic import ValidationError

from chassis import failpoints, logs
from chassis.config import ProcessSettings
from chassis.failpoints import FailpointSettings
from chassis.health import Readiness, serve_health
from chassis.telemetry import Metrics

YOUNG_OBJECTS = 20_000
"""New ones between two looks of the cycle collector at them; 700 unless told."""

S = TypeVar("S", bound=ProcessSettings)


class Process(Generic[S]):
    """What an app is handed: its name, settings, metrics, readiness and the sign to drain."""

    def __init__(self, name: str, settings: S) -> None:
        self.name = name
        self.settings = settings
        self.metrics = Metrics(name)
        self.readiness = Readiness()
        self.draining = asyncio.Event()
        self.readiness.add("process", lambda: "draining" if self.draining.is_set() else None)


App = Callable[[S, Process[S]], AbstractAsyncContextManager[None]]


def run(name: str, settings_type: type[S], app: App[S]) -> NoReturn:
    """Runs a process until it is told to stop, then exits.

    Exit code 0 after a drain or when told to stop while starting, 1 on a failure, 2 on bad settings.
    """
    try:
        settings = settings_type()
        points = FailpointSettings()
    except ValidationError as error:
        _explain(name, error)
        sys.exit(2)
    logs.setup(service=name, instance=settings.instance, level=settings.log_level, fmt=settings.log_format)
    try:
        failpoints.start(name, settings.instance, points)
    except ValueError as error:
        print(f"{name} cannot start, its file of failpoints is wrong: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_main(name, settings, app, points)))


async def _main(name: str, settings: S, app: App[S], points: FailpointSettings) -> int:
    log = logs.get(name)
    process = Process(name, settings)
    started = asyncio.Event()
    process.readiness.add("app", lambda: None if started.is_set() else "starting")
    starting = asyncio.current_task()

    def stop() -> None:
        process.draining.set()
        if starting is not None and not started.is_set():
            starting.cancel()  # it waits for something that may never come

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    failpoints.listen(name, settings.instance, points)
    try:
        async with (
            serve_health(
                settings.metrics_host, settings.metrics_port, process.readiness, process.metrics.registry
            ),
            app(settings, process),
        ):
            _spare_the_collector()
            started.set()
            log.info("process_started", grpc_port=settings.grpc_port)
            await process.draining.wait()
            log.info("process_draining")
    except asyncio.CancelledError:
        if not process.draining.is_set():
            raise
    except Exception:  # whatever it was, the process ends and its log says why
        log.exception("process_failed")
        return 1
    log.info("process_stopped")
    return 0


def _spare_the_collector() -> None:
    """What was made until now stays for good: the cycle collector need not look at it again, and what comes
    and goes with every message mostly goes by itself."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


def _explain(name: str, error: ValidationError) -> None:
    lines = [f"{name} cannot start, its settings are wrong:"]
    for item in error.errors(include_input=False, include_url=False):
        variable = "POLYCHAT_" + "__".join(str(part) for part in item["loc"]).upper()
        lines.append(f"  {variable}: {item['msg']}")
    print("\n".join(lines), file=sys.stderr)  # noqa: T201 — logging is not configured yet
