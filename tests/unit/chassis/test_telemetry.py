"""What every process measures about itself."""

from __future__ import annotations

import asyncio

from prometheus_client import generate_latest

from chassis.telemetry import Metrics


async def test_tasks_that_are_alive_are_counted() -> None:
    metrics = Metrics("some")

    def tasks() -> float:
        return metrics.registry.get_sample_value("polychat_some_tasks") or 0.0

    before = tasks()
    asleep = asyncio.create_task(asyncio.Event().wait())
    assert tasks() == before + 1
    asleep.cancel()
    await asyncio.gather(asleep, return_exceptions=True)
    assert tasks() == before


def test_who_asks_outside_of_a_loop_gets_an_answer_too() -> None:
    assert b"polychat_some_tasks 0.0" in generate_latest(Metrics("some").registry)
