"""Liveness and readiness of a process, and the small HTTP port that shows them beside the metrics.

`/livez` asks no dependency: it answers when the loop turns. `/readyz` names every problem, and what
is missing without keeping the process from its work.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from chassis import logs

Check = Callable[[], "Awaitable[str | None] | str | None"]

CHECK_SECONDS = 3.0

log = logs.get("health")


@dataclass(frozen=True, slots=True)
class Health:
    """What is missing at one moment, by check, each in a sentence."""

    problems: dict[str, str]
    """Without these the process takes no work."""
    degraded: dict[str, str]
    """Without these it works, later or with less."""


class Readiness:
    """The checks that must all be fine before a process takes work, and those that only lessen it."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._degrading: set[str] = set()

    def add(self, name: str, check: Check, *, degrades: bool = False) -> None:
        """Adds a check: it gives None when fine, else a sentence that says what is missing.

        One that only `degrades` is told and keeps nobody from work.
        """
        self._checks[name] = check
        (self._degrading.add if degrades else self._degrading.discard)(name)

    async def health(self) -> Health:
        """Asks all checks now."""
        names = list(self._checks)
        answers = await asyncio.gather(*(self._run(self._checks[name]) for name in names))
        found = {name: text for name, text in zip(names, answers, strict=True) if text is not None}
        return Health(
            {name: text for name, text in found.items() if name not in self._degrading},
            {name: text for name, text in found.items() if name in self._degrading},
        )

    async def problems(self) -> dict[str, str]:
        """What is missing now, by check; empty when ready."""
        return (await self.health()).problems

    @property
    def names(self) -> frozenset[str]:
        """Every check that there is."""
        return frozenset(self._checks)

    async def _run(self, check: Check) -> str | None:
        try:
            result = check()
            if inspect.isawaitable(result):
                result = await asyncio.wait_for(result, CHECK_SECONDS)
        except TimeoutError:
            return f"no answer within {CHECK_SECONDS:.0f} s"
        except Exception as error:  # a broken check must not end the telling of the others
            log.error("readiness_check_failed", exc_info=error)
            return f"the check itself failed: {type(error).__name__}"
        return result


@asynccontextmanager
async def serve_health(
    host: str, port: int, readiness: Readiness, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """Serves /livez, /readyz and /metrics on a port of their own; port 0 serves nothing."""
    if port == 0:
        yield
        return

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        health = await readiness.health()
        body = {"ready": not health.problems, "problems": health.problems, "degraded": health.degraded}
        return web.json_response(body, status=503 if health.problems else 200)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
        yield
    finally:
        await runner.cleanup()
