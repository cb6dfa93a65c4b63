"""Liveness, readiness and metrics of a process, over its HTTP port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from chassis import health
from chassis.health import Readiness, serve_health
from chassis.telemetry import Metrics
from tests.support.free_port import free_port


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def get(readiness: Readiness) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the port."""
    metrics = Metrics("test")
    metrics.counter("letters", "letters sent").inc(3)
    port = free_port()
    async with (
        serve_health("127.0.0.1", port, readiness, metrics.registry),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def ready(get: aiohttp.ClientSession) -> tuple[int, dict[str, str]]:
    async with get.get("/readyz") as response:
        body = await response.json()
        assert body["ready"] is (response.status == 200)
        return response.status, body["problems"]


async def slow() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_no_check_no_problem(get: aiohttp.ClientSession) -> None:
    """200."""
    assert await ready(get) == (200, {})


async def test_every_problem_is_told(get: aiohttp.ClientSession, readiness: Readiness) -> None:
    """503 with one sentence for each check that is not fine, waiting or not, and none for the others."""

    async def later() -> str | None:
        return "kafka has no leader"

    readiness.add("postgres", lambda: "postgres does not answer; try again")
    readiness.add("kafka", later)
    readiness.add("redis", lambda: None)
    assert await ready(get) == (
        503,
        {"postgres": "postgres does not answer; try again", "kafka": "kafka has no leader"},
    )


async def test_what_only_degrades_keeps_nobody_from_work(
    get: aiohttp.ClientSession, readiness: Readiness
) -> None:
    """It is told beside the problems, and a process that has nothing worse is ready."""
    answers: list[str | None] = ["hints are lost", None]
    readiness.add("redis", lambda: answers.pop(0), degrades=True)
    bodies = []
    for _ in range(2):
        async with get.get("/readyz") as response:
            assert response.status == 200
            bodies.append(await response.json())
    assert bodies[0] == {"ready": True, "problems": {}, "degraded": {"redis": "hints are lost"}}
    assert bodies[1] == {"ready": True, "problems": {}, "degraded": {}}


async def test_a_problem_that_passes_is_gone(get: aiohttp.ClientSession, readiness: Readiness) -> None:
    """Nothing is remembered."""
    answers: list[str | None] = ["away", None]
    readiness.add("postgres", lambda: answers.pop(0))
    assert [(await ready(get))[0], (await ready(get))[0]] == [503, 200]


async def test_a_check_that_hangs_is_a_problem(
    get: aiohttp.ClientSession, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bound, and it holds up no other check."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    readiness.add("kafka", slow)
    readiness.add("postgres", lambda: "away")
    status, problems = await ready(get)
    assert status == 503
    assert problems == {"kafka": "no answer within 0 s", "postgres": "away"}


async def test_a_check_that_breaks_is_a_problem(get: aiohttp.ClientSession, readiness: Readiness) -> None:
    """Its kind is told, its text is not, and the other checks are told as ever."""

    def broken() -> str | None:
        raise ValueError("canary")

    async def broken_later() -> str | None:
        raise OSError("canary")

    readiness.add("one", broken)
    readiness.add("two", broken_later)
    readiness.add("three", lambda: "away")
    assert await ready(get) == (
        503,
        {
            "one": "the check itself failed: ValueError",
            "two": "the check itself failed: OSError",
            "three": "away",
        },
    )


async def test_livez_asks_nothing(get: aiohttp.ClientSession, readiness: Readiness) -> None:
    """A process whose backing parts are away lives on; a restart would mend nothing."""
    asked: list[str] = []

    def check() -> str:
        asked.append("postgres")
        return "away"

    readiness.add("postgres", check)
    async with get.get("/livez") as response:
        assert (response.status, await response.text(), asked) == (200, "ok\n", [])


async def test_metrics_are_in_the_exposition_format(get: aiohttp.ClientSession) -> None:
    """Under the process's name."""
    async with get.get("/metrics") as response:
        assert response.content_type == "text/plain"
        assert "polychat_test_letters_total 3.0" in (await response.text()).splitlines()


async def test_port_zero_opens_nothing(readiness: Readiness) -> None:
    """For processes of tests."""
    async with serve_health("127.0.0.1", 0, readiness, Metrics("test").registry):
        pass


async def test_a_taken_port_is_an_error(readiness: Readiness) -> None:
    """Two processes with one metrics port would hide each other's health."""
    port = free_port()
    registry = Metrics("test").registry
    async with serve_health("127.0.0.1", port, readiness, registry):
        with pytest.raises(OSError, match=str(port)):
            async with serve_health("127.0.0.1", port, readiness, registry):
                pass
