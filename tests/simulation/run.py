"""Runs seeds: `run_seed` is a pure function of its seed."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import structlog

from tests.simulation.loop import START, SimLoop, running_name
from tests.simulation.nemesis import Nemesis
from tests.simulation.processes import outside_replaced
from tests.simulation.scenario import BUSY_SECONDS, Scenario
from tests.simulation.twins.servers import SERVERS
from tests.simulation.verdict import judge
from tests.simulation.world import World
from tests.support.history import Kind


@dataclass(frozen=True)
class Result:
    """What a seed did."""

    seed: int
    trace: str
    steps: int
    seconds: float
    """Virtual ones."""
    sends: int
    acknowledged: int
    faults: dict[str, int]
    seen: dict[str, int]
    """How often each of limits.RARE happened."""
    breaches: list[str]


def run_seed(seed: int, *, calm: bool = False, say: Callable[[str], None] | None = None) -> Result:
    """One run. `calm`: nothing breaks. `say` is told every log line of the product.

    What is left of killed processes must not be collected while the run lasts, since a coroutine that is
    collected runs its `finally`; at the end it may, and nobody listens.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        with leftovers_ignored():
            return _run(seed, calm=calm, say=say)
    finally:
        random.setstate(state)


@contextmanager
def leftovers_ignored() -> Iterator[None]:
    """Collects what a run left behind at its end only, and lets nobody hear of it."""
    _keep_what_is_there()
    hook, collecting = sys.unraisablehook, gc.isenabled()
    gc.disable()
    sys.unraisablehook = lambda _unraisable: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            silence()
            SERVERS.clear()
            gc.collect()
    finally:
        sys.unraisablehook = hook
        structlog.reset_defaults()
        logging.disable(logging.NOTSET)
        if collecting:
            gc.enable()


@cache
def _keep_what_is_there() -> None:
    """Takes the modules out of what is collected after each run; once is enough."""
    gc.collect()
    gc.freeze()


def timed_seed(seed: int) -> tuple[Result, float]:
    """A run and the seconds of CPU that it took."""
    began = time.process_time()
    result = run_seed(seed)
    return result, time.process_time() - began


def _run(seed: int, *, calm: bool, say: Callable[[str], None] | None) -> Result:
    loop = SimLoop(seed)
    world = World(loop, seed)
    scenario = Scenario(world)
    _listen(loop, say)
    with outside_replaced(world):
        unsettled = loop.run_until_complete(_play(world, scenario, calm=calm))
        breaches = [*(f"not settled: {text}" for text in unsettled), *judge(world)]
    records = world.journal.records
    return Result(
        seed,
        loop.trace,
        loop.steps,
        loop.time() - START,
        scenario.counts.sends,
        sum(record.kind is Kind.OK for record in records),
        {**scenario.counts.faults, **world.faults.counts},
        dict(world.journal.seen),
        breaches,
    )


async def _play(world: World, scenario: Scenario, *, calm: bool) -> list[str]:
    nemesis = Nemesis(world, scenario.counts)
    await scenario.begin()
    until = world.loop.time() + scenario.chance.uniform(*BUSY_SECONDS)
    if calm:
        await scenario.act(until)
    else:
        await asyncio.gather(scenario.act(until), nemesis.act(until))
    nemesis.end()
    return await scenario.settle()


def silence() -> None:
    """Logs of the product go nowhere."""
    _listen(None, None)


def _listen(loop: SimLoop | None, say: Callable[[str], None] | None) -> None:
    def tell(_logger: object, level: str, event: structlog.typing.EventDict) -> str:
        if loop is not None and say is not None:
            say(f"{loop.time():10.4f} {running_name():10} {level:8} {event}")
        raise structlog.DropEvent

    structlog.configure(processors=[tell], cache_logger_on_first_use=False)
    logging.disable(logging.CRITICAL)
